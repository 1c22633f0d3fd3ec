-- The client's vault, version 1.

-- === identity, server, registration (e2ee/store/client/identity.py) ===========================

-- Who this profile is: one row from the moment its registration was confirmed.
CREATE TABLE identity (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    own_device BLOB NOT NULL,           -- the encoded identity, with its private keys
    registered_at INTEGER NOT NULL,     -- ms since 1970
    deleted_at INTEGER                  -- the account is no more since then; NULL: there is one
) STRICT;

-- The server this profile is registered with, and what is remembered of it.
CREATE TABLE server (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    link TEXT NOT NULL,                 -- connect link with the pins that hold now, no invite
    ca BLOB,                            -- PEM; with it the chain is verified too
    highest_version INTEGER NOT NULL    -- of the protocol; less is refused from then on
) STRICT;

-- A registration that is under way: which server, which passcode session, which new keys.
CREATE TABLE registration (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    link TEXT NOT NULL,
    ca BLOB,
    highest_version INTEGER NOT NULL,
    address TEXT NOT NULL,
    session BLOB,                       -- 16 bytes; NULL: a code must be asked for
    session_until INTEGER,              -- ms since 1970
    guesses INTEGER NOT NULL,           -- that this session was charged, as far as we know
    own_device BLOB,                    -- the new identity; NULL: not made yet
    signed_prekey_id INTEGER,
    signed_prekey BLOB,                 -- as signed, for the server
    signed_prekey_secret BLOB,
    last_resort_id INTEGER,
    last_resort BLOB,                   -- as signed, for the server
    last_resort_secret BLOB,
    made_at INTEGER,                    -- of the keys, ms since 1970
    proved INTEGER NOT NULL             -- 1: a proof has left; the server may have these keys
) STRICT;

-- Passcodes that were run against a server which then did not prove itself; only digests.
CREATE TABLE burnt_passcode (
    digest BLOB PRIMARY KEY,            -- SHA-256 of label, number, code
    until INTEGER NOT NULL              -- ms since 1970: the session is over by then
) STRICT;

-- === the messenger's tables follow ============================================================

-- Small facts with a name: the own contact token, counters, whether the last end was clean.
CREATE TABLE mark (
    name TEXT PRIMARY KEY,
    value ANY NOT NULL
) STRICT;

-- === own prekeys (e2ee/store/client/prekeys.py) ===============================================

CREATE TABLE prekey (
    key_id INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('signed', 'last_resort', 'one_time', 'kem_one_time')),
    secret BLOB NOT NULL,
    public BLOB NOT NULL,               -- as it is uploaded: signed, or 32 bytes for one_time; empty after
    created_at INTEGER NOT NULL,        -- ms since 1970
    published INTEGER NOT NULL DEFAULT 0,
    retired_at INTEGER,                 -- ms since 1970: its replacement was published
    PRIMARY KEY (kind, key_id)
) STRICT;

-- The ephemeral keys of all first messages that used a signed prekey, as long as that one lives.
CREATE TABLE first_message (
    ephemeral_key BLOB PRIMARY KEY,
    signed_prekey INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- === contacts and trust (e2ee/store/client/contacts.py) =======================================

CREATE TABLE contact (
    address TEXT PRIMARY KEY,
    name TEXT UNIQUE,
    listed INTEGER NOT NULL DEFAULT 1,  -- 0: removed from the address book, its keys are kept
    accepted INTEGER NOT NULL DEFAULT 0,
    blocked INTEGER NOT NULL DEFAULT 0,
    verified INTEGER NOT NULL DEFAULT 0,
    trusted_key BLOB,                   -- the account key that is used, 32 bytes
    pending_key BLOB,                   -- another one that the directory serves and nobody accepted
    token BLOB,                         -- the contact token that they gave, 16 bytes
    next_sequence INTEGER NOT NULL DEFAULT 1,
    have_up_to INTEGER NOT NULL DEFAULT 0  -- what they say to have of ours
) STRICT;

-- The newest statement of each account key ever seen for a number: lower ones are refused.
CREATE TABLE account_statement (
    address TEXT NOT NULL,
    account_key BLOB NOT NULL,
    statement BLOB NOT NULL,
    prekey_at INTEGER NOT NULL DEFAULT 0,  -- ms since 1970: when the newest signed prekey seen was made
    PRIMARY KEY (address, account_key)
) STRICT;

-- === X.509 identities (e2ee/store/client/authorities.py) ======================================

-- Certification authorities whose word on account keys counts.
CREATE TABLE authority (
    fingerprint BLOB PRIMARY KEY,       -- SHA-256 of the certificate
    certificate BLOB NOT NULL,          -- DER
    name TEXT NOT NULL                  -- what it calls itself
) STRICT;

-- Certificates that a trusted authority has taken back: its latest list.
CREATE TABLE revocation_list (
    authority BLOB PRIMARY KEY,         -- the fingerprint
    content BLOB NOT NULL,              -- DER
    issued_at INTEGER NOT NULL,         -- ms since 1970
    next_update INTEGER NOT NULL        -- ms since 1970: not valid from then on
) STRICT;

-- What the directory has served with an account key. It is judged when it is asked for.
CREATE TABLE contact_identity (
    address TEXT NOT NULL,
    account_key BLOB NOT NULL,
    identity BLOB NOT NULL,
    asked_at INTEGER NOT NULL,          -- ms since 1970
    PRIMARY KEY (address, account_key)
) STRICT;

-- After what time texts disappear in a conversation (e2ee/store/client/timers.py).
CREATE TABLE timer (
    address TEXT PRIMARY KEY,
    seconds INTEGER NOT NULL,           -- 0: never
    version INTEGER NOT NULL,           -- counts the settings of both sides, from 1
    set_at INTEGER NOT NULL,            -- ms since 1970, by the clock of whoever has set it
    own INTEGER NOT NULL                -- 1: that was the user
) STRICT, WITHOUT ROWID;

-- === sessions (e2ee/store/client/sessions.py) =================================================

CREATE TABLE session (
    address TEXT NOT NULL,
    session_id BLOB NOT NULL,
    device BLOB NOT NULL,
    account_key BLOB NOT NULL,
    statement_hash BLOB NOT NULL,       -- of the statement that it was made with
    state BLOB NOT NULL,
    begun INTEGER NOT NULL,             -- its first rank
    chain_begun INTEGER NOT NULL,       -- the next rank when its sending chain was begun
    rank INTEGER NOT NULL,              -- the highest of those with a statement is sent on
    answered INTEGER NOT NULL,          -- 1: something was opened in it
    retired INTEGER NOT NULL DEFAULT 0, -- 1: only receives, whatever its rank
    PRIMARY KEY (address, session_id)
) STRICT;

-- === messages (e2ee/store/client/messages.py) =================================================

CREATE TABLE message (
    row INTEGER PRIMARY KEY AUTOINCREMENT,
    direction TEXT NOT NULL CHECK (direction IN ('in', 'out')),
    address TEXT NOT NULL,              -- of the other side
    device BLOB,                        -- of the sender, for 'in'
    message_id BLOB NOT NULL,
    sequence INTEGER NOT NULL,
    sent_at INTEGER NOT NULL,           -- the sender's clock, ms since 1970
    received_at INTEGER,                -- ours, for 'in'
    text TEXT NOT NULL,
    verified INTEGER NOT NULL DEFAULT 0,
    late INTEGER NOT NULL DEFAULT 0,
    state TEXT NOT NULL,                -- out: SentState; in: 'held' before a gap, 'released'
    place INTEGER,                      -- order of display; NULL while held
    envelope_id BLOB,                   -- out: of the last envelope that carried it
    reason TEXT,                        -- out: why it failed
    verified_by TEXT,                   -- in: the authority that certified the sender's key then
    account_key BLOB,                   -- 32 bytes; in: that has sent it; out: for which it was sealed last
    sent_again INTEGER NOT NULL DEFAULT 0, -- out: how often, because the contact did not have it
    receipt TEXT,                       -- out: what the contact has said of it, 'delivered' or 'read'
    lifetime INTEGER NOT NULL DEFAULT 0, -- seconds; 0: for ever
    expires_at INTEGER                  -- ms since 1970; NULL: never, or not shown or not sent yet
) STRICT;
CREATE UNIQUE INDEX message_sent ON message (message_id) WHERE direction = 'out';
CREATE UNIQUE INDEX message_received ON message (address, message_id) WHERE direction = 'in';
CREATE UNIQUE INDEX message_place ON message (place) WHERE place IS NOT NULL;
CREATE INDEX message_sequence ON message (address, device, sequence) WHERE direction = 'in';
CREATE INDEX message_held ON message (address, device, sequence) WHERE state = 'held';
CREATE INDEX message_numbered ON message (address, sequence) WHERE direction = 'out';
CREATE INDEX message_expiring ON message (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX message_timed ON message (direction) WHERE lifetime > 0 AND expires_at IS NULL;
CREATE INDEX message_envelope ON message (envelope_id) WHERE envelope_id IS NOT NULL;

-- The file of a message, if it has one (e2ee/store/client/files.py).
CREATE TABLE file (
    message INTEGER PRIMARY KEY REFERENCES message (row) ON DELETE CASCADE,
    name TEXT NOT NULL,                 -- in: made harmless
    size INTEGER NOT NULL,
    file_id BLOB NOT NULL,              -- 16 bytes, its name on the server
    capability BLOB NOT NULL,           -- 16 bytes, what the server wants to see
    key BLOB,                           -- NULL: of no use any more
    digest BLOB,                        -- SHA-256; NULL: own, not uploaded yet
    state TEXT NOT NULL,                -- FileState
    path TEXT,                          -- own: what is sent; in: where it is kept
    stamp TEXT,                         -- own: by which a change of the file is noticed
    directory TEXT,                     -- in: where it is to go; NULL: nobody has read the message
    begun INTEGER NOT NULL DEFAULT 0,   -- in: 1: it was to be fetched before
    there INTEGER NOT NULL DEFAULT 1,   -- in: 0: the server has been told to forget it
    reason TEXT,                        -- why it failed
    error_code TEXT,                    -- own: why the upload waits
    error_sentence TEXT,
    error_until INTEGER                 -- ms since 1970
) STRICT;
CREATE INDEX file_state ON file (state);

-- The words of all texts (e2ee/store/client/history.py). It holds no text itself; 'secure-delete' takes
-- a forgotten one's words out at once, where FTS5 would only mark them.
CREATE VIRTUAL TABLE message_word USING fts5 (
    text, content = 'message', content_rowid = 'row', columnsize = 0,
    tokenize = 'unicode61 remove_diacritics 2'
);
INSERT INTO message_word (message_word, rank) VALUES ('secure-delete', 1);
CREATE TRIGGER message_added AFTER INSERT ON message BEGIN
    INSERT INTO message_word (rowid, text) VALUES (new.row, new.text);
END;
CREATE TRIGGER message_deleted AFTER DELETE ON message BEGIN
    INSERT INTO message_word (message_word, rowid, text) VALUES ('delete', old.row, old.text);
END;
CREATE TRIGGER message_changed AFTER UPDATE OF text ON message BEGIN
    INSERT INTO message_word (message_word, rowid, text) VALUES ('delete', old.row, old.text);
    INSERT INTO message_word (rowid, text) VALUES (new.row, new.text);
END;

-- Under which numbers forgotten texts came in, so that none is shown again.
CREATE TABLE forgotten (
    address TEXT NOT NULL,
    device BLOB NOT NULL,
    message_id BLOB NOT NULL,
    sequence INTEGER NOT NULL,
    at INTEGER NOT NULL,                -- ms since 1970: when it was forgotten
    PRIMARY KEY (address, message_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX forgotten_sequence ON forgotten (address, device, sequence);

-- Numbers of texts that are here under another number (e2ee/store/client/passed.py).
CREATE TABLE passed (
    address TEXT NOT NULL,
    device BLOB NOT NULL,
    sequence INTEGER NOT NULL,
    PRIMARY KEY (address, device, sequence)
) STRICT, WITHOUT ROWID;

-- What was typed in a chat, for the arrow keys (e2ee/store/client/typed_lines.py).
CREATE TABLE typed_line (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    line TEXT NOT NULL UNIQUE
) STRICT;

-- How far the numbering of a sender's device has come: received without a hole, and released.
CREATE TABLE stream (
    address TEXT NOT NULL,
    device BLOB NOT NULL,
    received_up_to INTEGER NOT NULL DEFAULT 0,
    released_up_to INTEGER NOT NULL DEFAULT 0,
    sent_up_to INTEGER NOT NULL DEFAULT 0,  -- what the device says to have sent
    PRIMARY KEY (address, device)
) STRICT, WITHOUT ROWID;

-- What no reader has shown yet, in order. 'printing': it may have been shown before a crash.
CREATE TABLE arrival (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL CHECK (kind IN ('message', 'key_changed', 'undecryptable', 'gap', 'failed',
        'sent_again', 'profile_put_back', 'server_put_back', 'receipt', 'timer', 'file')),
    address TEXT NOT NULL,
    message INTEGER REFERENCES message (row),
    at INTEGER NOT NULL,                -- ms since 1970
    missing INTEGER NOT NULL DEFAULT 0, -- texts of a gap, or that were sent again; seconds of a timer
    verified_by TEXT,                   -- of a changed key: the authority whose word was enough
    printing INTEGER NOT NULL DEFAULT 0,
    repeated INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX arrival_message ON arrival (message) WHERE message IS NOT NULL;
CREATE INDEX arrival_receipt ON arrival (position) WHERE kind = 'receipt';

-- What contacts are to be told of their texts (e2ee/store/client/receipts.py).
CREATE TABLE receipt (
    position INTEGER PRIMARY KEY,
    address TEXT NOT NULL,
    message_id BLOB NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('delivered', 'read')),
    UNIQUE (address, message_id)
) STRICT;

-- Envelopes that were dealt with; those set aside are kept as long as there is room.
CREATE TABLE envelope (
    envelope_id BLOB PRIMARY KEY,
    address TEXT NOT NULL,
    opened INTEGER NOT NULL,
    received_at INTEGER NOT NULL,       -- ms since 1970
    kept BLOB
) STRICT;
CREATE INDEX envelope_received ON envelope (received_at);
CREATE INDEX envelope_kept ON envelope (received_at) WHERE kept IS NOT NULL;

-- Envelopes during whose opening the process ended, and how often.
CREATE TABLE attempt (
    envelope_id BLOB PRIMARY KEY,
    count INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- === healing (e2ee/store/client/healings.py) ==================================================

-- With whom something was lost, and when what there is to do about it was done last.
CREATE TABLE healing (
    address TEXT PRIMARY KEY,
    wanted INTEGER NOT NULL DEFAULT 0,  -- Wanted
    healed_at INTEGER,                  -- ms since 1970
    pause INTEGER NOT NULL DEFAULT 0,   -- ms after that before the next
    session BLOB,                       -- the id of the one that was begun then
    gone BLOB NOT NULL DEFAULT x''      -- own numbers to tell that nothing will come under: 8, 8 bytes each
) STRICT, WITHOUT ROWID;

-- === outbox (e2ee/store/client/outbox.py) =====================================================

CREATE TABLE outbox (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    address TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('text', 'token', 'resume', 'inquiry', 'healing', 'receipt', 'timer',
        'typing')),
    message INTEGER UNIQUE REFERENCES message (row),  -- of a text; NULL for what nobody is shown
    queued_at INTEGER NOT NULL,         -- ms since 1970
    body BLOB,                          -- of a receipt: what it tells
    envelope BLOB,                      -- NULL: not sealed yet
    statement_hash BLOB,                -- of the statement it was sealed for
    sealed_at INTEGER,
    state_counter INTEGER,              -- of the transaction in which it was sealed
    error_code TEXT,
    error_sentence TEXT,
    error_until INTEGER                 -- ms since 1970: before that it is not tried again
) STRICT;
CREATE INDEX outbox_address ON outbox (address, position);
CREATE INDEX outbox_unsealed ON outbox (address, position) WHERE envelope IS NULL;
CREATE INDEX outbox_error ON outbox (address, position) WHERE error_code IS NOT NULL;
