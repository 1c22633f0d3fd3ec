-- The server's state. Nothing here opens a message: keys are public halves, envelopes are sealed by
-- the clients, codes are sealed under a key that is not in this file; pin_hash is that of a
-- registration PIN which its owner's client has stretched with pin_salt; identity is what the owner has
-- uploaded of X.509 certificates, and nothing here reads it.
-- Columns named `at` and `…_at` are service time in seconds, but last_login_at: milliseconds since 1970.

CREATE TABLE account (
    address TEXT PRIMARY KEY,
    account_key BLOB NOT NULL,
    generation INTEGER NOT NULL,
    statement BLOB NOT NULL,
    statement_hash BLOB NOT NULL,
    token_hash BLOB,
    hidden INTEGER NOT NULL DEFAULT 0,
    last_login_at INTEGER,
    pin_salt BLOB,
    pin_hash BLOB,
    identity BLOB,
    CHECK ((pin_salt IS NULL) = (pin_hash IS NULL))
) STRICT, WITHOUT ROWID;

-- One for each account in version 1; every other table speaks of a device by its row id, which is
-- never used again. last_seq names the last place in its mailbox ever given; messages, bytes and
-- strangers count what waits there. An append counts what comes, with the shares of the senders; the
-- trigger below, what goes.
CREATE TABLE device (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    address TEXT NOT NULL REFERENCES account ON DELETE CASCADE,
    device BLOB NOT NULL,
    signing_key BLOB NOT NULL,
    used_at REAL NOT NULL,
    epoch INTEGER NOT NULL DEFAULT 0,
    logged_out INTEGER NOT NULL DEFAULT 0,
    state_token BLOB,
    last_seq INTEGER NOT NULL DEFAULT 0,
    messages INTEGER NOT NULL DEFAULT 0,
    bytes INTEGER NOT NULL DEFAULT 0,
    strangers INTEGER NOT NULL DEFAULT 0,
    UNIQUE (address, device)
) STRICT;

-- The keys that every bundle carries: the signed prekey and the last-resort KEM prekey.
CREATE TABLE lasting_prekey (
    device_id INTEGER NOT NULL REFERENCES device ON DELETE CASCADE,
    kind TEXT NOT NULL,
    encoded BLOB NOT NULL,
    PRIMARY KEY (device_id, kind)
) STRICT, WITHOUT ROWID;

-- The stock of one-time keys; `number` is the order of upload.
CREATE TABLE one_time_prekey (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    device_id INTEGER NOT NULL REFERENCES device ON DELETE CASCADE,
    kind TEXT NOT NULL,
    key_id INTEGER NOT NULL,
    encoded BLOB NOT NULL
) STRICT;
CREATE INDEX one_time_prekey_oldest ON one_time_prekey (device_id, kind, number);

-- Every id that a device has published and what it named, so that no id ever names two keys and no
-- key that was handed out comes back.
CREATE TABLE published_prekey (
    device_id INTEGER NOT NULL REFERENCES device ON DELETE CASCADE,
    kind TEXT NOT NULL,
    key_id INTEGER NOT NULL,
    digest BLOB NOT NULL,
    PRIMARY KEY (device_id, kind, key_id)
) STRICT, WITHOUT ROWID;

-- In the order of its row ids, which is that of arrival: the oldest expire first. `once` is a digest of
-- the sender and the envelope, and an envelope that is sent again is found by it in the index, where a
-- mailbox is in one place: one of these alone, which have no order, would have every append write more pages.
CREATE TABLE mail (
    device_id INTEGER NOT NULL REFERENCES device ON DELETE CASCADE,
    seq INTEGER NOT NULL,
    once BLOB NOT NULL,
    sender_address TEXT NOT NULL,
    sender_device BLOB NOT NULL,
    envelope_id BLOB NOT NULL,
    known INTEGER NOT NULL,
    size INTEGER NOT NULL,
    at REAL NOT NULL,
    envelope BLOB NOT NULL
) STRICT;
CREATE INDEX mail_order ON mail (device_id, seq, once);

-- What of a mailbox is one sender's. A row lives as long as a message of that pair waits, no longer.
CREATE TABLE share (
    device_id INTEGER NOT NULL REFERENCES device ON DELETE CASCADE,
    sender_address TEXT NOT NULL,
    messages INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    strangers INTEGER NOT NULL,
    PRIMARY KEY (device_id, sender_address)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER mail_goes AFTER DELETE ON mail BEGIN
    UPDATE device SET messages = messages - 1, bytes = bytes - old.size, strangers = strangers - (NOT old.known)
        WHERE id = old.device_id;
    UPDATE share SET messages = messages - 1, bytes = bytes - old.size, strangers = strangers - (NOT old.known)
        WHERE device_id = old.device_id AND sender_address = old.sender_address;
    DELETE FROM share
        WHERE device_id = old.device_id AND sender_address = old.sender_address AND messages = 0;
END;

-- Files that their owners have uploaded, or are uploading, for whoever shows the capability. What is in
-- them lies sealed in files of this id beside the database. Those without an account go.
CREATE TABLE file (
    id BLOB PRIMARY KEY,
    owner TEXT NOT NULL,
    capability_hash BLOB NOT NULL,
    chunks INTEGER NOT NULL,
    complete INTEGER NOT NULL DEFAULT 0,
    at REAL NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX file_owner ON file (owner, chunks);
CREATE INDEX file_oldest ON file (at);

-- For the senders of envelopes that will not be delivered; `envelope_ids` are 16 bytes each.
CREATE TABLE notice (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    device_id INTEGER NOT NULL REFERENCES device ON DELETE CASCADE,
    kind TEXT NOT NULL,
    envelope_ids BLOB NOT NULL
) STRICT;
CREATE INDEX notice_oldest ON notice (device_id, number);

-- Token buckets, each as the one moment at which it will be full again.
CREATE TABLE bucket (
    name TEXT NOT NULL,
    key TEXT NOT NULL,
    full_at REAL NOT NULL,
    PRIMARY KEY (name, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX bucket_full ON bucket (full_at);

-- Sessions of registration. A used one is gone. `invite` is the hash of the one that the registration
-- will use up; a privileged session, opened by an invite for its number, is outside the buckets.
CREATE TABLE passcode (
    session BLOB PRIMARY KEY,
    address TEXT NOT NULL,
    sealed_code BLOB NOT NULL,
    guesses_left INTEGER NOT NULL,
    expires_at REAL NOT NULL,
    invite BLOB,
    privileged INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX passcode_live ON passcode (address, expires_at);
CREATE INDEX passcode_oldest ON passcode (expires_at);

-- The growing waits between codes of one number.
CREATE TABLE passcode_wait (
    address TEXT PRIMARY KEY,
    codes INTEGER NOT NULL,
    last_at REAL NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX passcode_wait_oldest ON passcode_wait (last_at);

-- Invites of the operator, by hash. A used one is gone. Those with an address admit that number only,
-- and open one session outside the buckets: `privileges` of it are left.
CREATE TABLE invite (
    hash BLOB PRIMARY KEY,
    address TEXT,
    privileges INTEGER NOT NULL,
    expires_at REAL NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX invite_oldest ON invite (expires_at);

-- One row: the service time reached, and the wall's time (seconds since 1970) at that moment.
CREATE TABLE service_time (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    seconds REAL NOT NULL,
    wall REAL NOT NULL
) STRICT;

-- Small facts about the installation, such as the pin of the backup key.
CREATE TABLE fact (
    name TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
