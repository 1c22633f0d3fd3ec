"""RSA keys that were made before, because a new one takes up to seconds. For tests only."""

from __future__ import annotations

from itertools import cycle

from twisted.trial.unittest import SynchronousTestCase

from e2ee.crypto import kem_primitives

PRIMES = [
    bytes.fromhex(
        "c7a7a71dcae5dd7ffd9df688334b8e809ba50c7c37529ec42c1fe0545da0e3bb7bf97d142243ba1bbcf7e0af221b5b33"
        "6b22986d29b167ab3a51d55091e7f8ff6932ea85c9151982596e0e21e0b1bb98e22b1daf68e445d2e8753fd01d23310f"
        "88f68800f13bfa8f664e980bf354636c50013c158ae883fdf37ad000df8524c9231742133204c628917f7254878efb82"
        "6a125695cb1c7c2718ddbcf52d97b9306504abe4a1ac0679a5151f52f81e35a938ba7168d0f5804e55bef4f4b92225f9"
        "c6a3925b4e9e49d3b546ddc4f6ef5df9f7935f59d8351f2eaf777a76452c7f0bb19cac42cddc4ea20d3406e6fc6028b8"
        "c208436ae26bcd1bcf912a212797d93c1043362ed4fffd7f009a293a6568a5917afdbda939e61396f6efc15d1b81e064"
        "b9a270b0f0de433fbcd5e4f843b083a463a5143d575bf929155728b89291f87eefee72fa1ff0f536a8a03d3cd7546891"
        "4d8793c05e088a3da0287ffb3e04020edbe8abd8841a2fba152f529d8eac340991bf3c523df86d926339d966086c2e67"
    ),
    bytes.fromhex(
        "d59ed1c8b1629dead6529fd91cd8510c236b31872b10726ecf82e7c15a6730eaa1a7200adcfb601b8a9922cab4c82a13"
        "49cbc807d869fe61cc35a7e5385b84810e80f45e006a3544dfa59a62ad7164499f7184fd28a2df2a79893a6d576e52f3"
        "fc4d1dbd70cd19e1e0127cecd152a6e2f743e160252cef6ff36ba70722671ed42ab675de03686c9d1d7b8a2d7c07f811"
        "df0139ad7dd09343218d892851503638cfe355b06cd52856288a60856f19ca77804c2a9f89ab6b9f36edff952cf695e9"
        "b78d12aefaf0365f45a0b02a54a4bde659343c9c983e42406fb95064d866bff4c2be81402dc43c9e4080ad15b526a70d"
        "8ebcc5e83a38b79edc37e7f162260331e692c34dc23a81dfca910ea5b4e712e0190f295dbdb285d79f21914c55472c1a"
        "45a5def1f0fb111a3cc482da93b925f6a5bf18d2d66f8e7a96635f2b5b0761e943d4f3509dfd2e0fc7db41215af057f6"
        "a24742a289cb6c27777639a68a7b05ffc24724294571b53c6eed0359169ca23f682ba897dd355ac026bd9cfec2bf803d"
    ),
    bytes.fromhex(
        "f778ed7f3805f082e7e193e8f7af94496805cf6fd789cbae986d6cd432473d152a71eff6a415e9c2146cf0ded3644cd8"
        "985e06549239741f07a53d78f0ace7f42e9d61e56d295d152077cc010556d0179c6f99a17f1400317fab1627b6db6de3"
        "c4606b81d1a3e0208a5c612fb42e16b37605d5f525dec0cbf37a1363256c6069f0fe4146ce71d70796295c05fa985fc6"
        "b7906f74a32c35104ae5cb3a25ee06698c287e9d8f98ad72fdfe7b51639527cb1dec096e4268d028e9288ea78dfec9ab"
        "e50d0068d5965d794681e8ddf23aad434ce90a8cb6d2950a93c83972372513c49b4688ec4d6df22f29ebdd010cdf814c"
        "98e01f88934ed1511633f2e08fff770c99ae97511cde4422b200a41bb6e6f95d2a8f2d180922516c24835fb9900ccd6f"
        "536ea62b50cf38eb6f3baa6a7c1a2d6d07f91b18fec961e96e1ddf49ef11420eb621fa575d40b739a7d44e3b16865373"
        "f2e6c5fe9f82e1e2de404168f7dee81eff875be4235bad48b23bfa29cd8bc7c528a00a4f24a35f76e53fb677cfdb1981"
    ),
]
"""Both primes of each, 192 bytes."""


def use_old_rsa_keys(case: SynchronousTestCase) -> list[int]:
    """From now on new RSA keys are these, in turn. What is given counts them."""
    primes = cycle(PRIMES)
    count = [0]

    def generate() -> bytes:
        count[0] += 1
        return next(primes)

    case.patch(kem_primitives, "rsa_generate", generate)
    return count
