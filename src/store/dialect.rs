//! SQL that both databases understand, and the few words in which they differ.

/// One statement in both dialects; constant, so that it is prepared once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sql {
    pub(super) postgres: &'static str,
    pub(super) sqlite: &'static str,
}

/// The words that differ. Times are microseconds since 1970 in work tables, RFC 3339 text when bound to audit tables.
macro_rules! word {
    // In a condition within `(select ...)`, once for the statement: no index is used for what may change from row to row.
    (postgres NOW) => {
        "(extract(epoch from clock_timestamp()) * 1000000)::bigint"
    };
    (sqlite NOW) => {
        "cast(unixepoch('subsec') * 1000000 as integer)"
    };
    (postgres SKIP_LOCKED) => {
        " for update skip locked"
    };
    (sqlite SKIP_LOCKED) => {
        ""
    };
    // What a row is found by. A plan that is made while a table is empty, or is taken for it, costs the same whether it reads a row of
    // an index or all of it, and is kept when there are thousands. With this the server has no other way to the row than by its key: for `=`
    // and `in` it may go through all of an index in its order. For `exists` it is `limit 1 offset 0`; and what is the condition of a
    // partial index is wrapped where another index is meant (`coalesce`), as there is no need to look for anything in that one.
    (postgres FOUND_BY) => {
        " = any(array["
    };
    (sqlite FOUND_BY) => {
        " = "
    };
    (postgres FOUND) => {
        "])"
    };
    (sqlite FOUND) => {
        ""
    };
    // The same for what another statement gives, which is asked once.
    (postgres FOUND_AMONG) => {
        " = any(array("
    };
    (sqlite FOUND_AMONG) => {
        " in ("
    };
    (postgres THOSE) => {
        "))"
    };
    (sqlite THOSE) => {
        ")"
    };
    // How long the last of `due` has been due; SQLite's index keeps nothing of what was claimed, so nobody asks.
    (postgres LAST_DUE) => {
        "(select max(due_at) from due)"
    };
    (sqlite LAST_DUE) => {
        "null"
    };
    // Of a join only the operation; SQLite has one writer.
    (postgres LOCK_OPERATION) => {
        " for update of o"
    };
    (sqlite LOCK_OPERATION) => {
        ""
    };
    // As the program sorts, whatever the database's language is.
    (postgres IN_ORDER) => {
        " collate \"C\" for update of k"
    };
    (sqlite IN_ORDER) => {
        ""
    };
    (postgres SHARED_LOCK) => {
        " for share"
    };
    (sqlite SHARED_LOCK) => {
        ""
    };
    (postgres AS_UUID) => {
        "::uuid"
    };
    (sqlite AS_UUID) => {
        ""
    };
    (postgres AS_TIME) => {
        "::timestamptz"
    };
    (sqlite AS_TIME) => {
        ""
    };
    // As it is written; a column of type `jsonb` takes it.
    (postgres AS_JSON) => {
        "::json"
    };
    (sqlite AS_JSON) => {
        ""
    };
    (postgres AS_TEXT) => {
        "::text"
    };
    (sqlite AS_TEXT) => {
        ""
    };
    // The rows that the first argument asks for.
    (postgres ROWS_OF_1) => {
        "unnest($1::bigint[], $2::uuid[], $3::timestamptz[], $4::bigint[], $5::smallint[]) \
         as n(place, row_id, row_at, row_number, row_stream)"
    };
    (sqlite ROWS_OF_1) => {
        "(select value ->> 'place' as place, value ->> 'row_id' as row_id, value ->> 'row_at' as row_at, \
         value ->> 'row_number' as row_number, value ->> 'row_stream' as row_stream from json_each($1)) n"
    };
    // The argument after those.
    (postgres AFTER_ROWS) => {
        "$6"
    };
    (sqlite AFTER_ROWS) => {
        "$2"
    };
    // A policy activation has a number where others have an id; the tree knows it by this.
    (postgres ACTIVATION_ID) => {
        "('00000000-0000-0000-0000-' || lpad(to_hex(t.id), 12, '0'))::uuid"
    };
    (sqlite ACTIVATION_ID) => {
        "printf('00000000-0000-0000-0000-%012x', t.id)"
    };
    ($dialect:ident $text:literal) => {
        $text
    };
}

/// Joins literals and the words that differ into one [`Sql`].
macro_rules! sql {
    ($($part:tt)+) => {
        $crate::store::dialect::Sql {
            postgres: concat!($($crate::store::dialect::word!(postgres $part)),+),
            sqlite: concat!($($crate::store::dialect::word!(sqlite $part)),+),
        }
    };
}

pub(super) use {sql, word};
