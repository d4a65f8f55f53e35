-- Every table has one shape; lists go by (kind, scope). The body is the JSON document.
CREATE TABLE IF NOT EXISTS resources    (key TEXT PRIMARY KEY, kind TEXT NOT NULL, scope TEXT NOT NULL, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS heartbeats   (key TEXT PRIMARY KEY, kind TEXT NOT NULL, scope TEXT NOT NULL, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS identities   (key TEXT PRIMARY KEY, kind TEXT NOT NULL, scope TEXT NOT NULL, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS principals   (key TEXT PRIMARY KEY, kind TEXT NOT NULL, scope TEXT NOT NULL, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS grants       (key TEXT PRIMARY KEY, kind TEXT NOT NULL, scope TEXT NOT NULL, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS operations   (key TEXT PRIMARY KEY, kind TEXT NOT NULL, scope TEXT NOT NULL, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS meta         (key TEXT PRIMARY KEY, kind TEXT NOT NULL, scope TEXT NOT NULL, body BLOB NOT NULL) WITHOUT ROWID;
-- Journals: keys ascend, rows are only added and trimmed, and they are not held in memory.
CREATE TABLE IF NOT EXISTS activity     (key INTEGER PRIMARY KEY, kind TEXT NOT NULL, scope TEXT NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS his_log      (key INTEGER PRIMARY KEY, kind TEXT NOT NULL, scope TEXT NOT NULL, body BLOB NOT NULL);
-- The feed by which a second process learns what changed.
CREATE TABLE IF NOT EXISTS changes      (seq INTEGER PRIMARY KEY AUTOINCREMENT, tbl TEXT NOT NULL, key TEXT NOT NULL);
