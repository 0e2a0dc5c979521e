//! SQL that both databases understand, and the few words in which they differ.

/// One statement in both dialects; constant, so that it is prepared once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sql {
    pub(super) postgres: &'static str,
    pub(super) sqlite: &'static str,
}

/// The words that differ. Times are microseconds since 1970 in work tables, RFC 3339 text when bound to audit tables.
macro_rules! word {
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
    (postgres AS_JSON) => {
        "::jsonb"
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
    // Small numbers are read as large ones.
    (postgres AS_NUMBER) => {
        "::bigint"
    };
    (sqlite AS_NUMBER) => {
        ""
    };
    // The rows that the first argument asks for.
    (postgres ROWS_OF_1) => {
        "jsonb_to_recordset($1::jsonb) as n(place bigint, row_id uuid, row_at timestamptz, row_number bigint, row_stream smallint)"
    };
    (sqlite ROWS_OF_1) => {
        "(select value ->> 'place' as place, value ->> 'row_id' as row_id, value ->> 'row_at' as row_at, \
         value ->> 'row_number' as row_number, value ->> 'row_stream' as row_stream from json_each($1)) n"
    };
    // Leaves from one place to another, each with its row or with nothing; each looks for its row by itself, however many rows there are.
    (postgres DECISIONS_FROM_1_TO_2) => {
        "(select leaf as place, hash, id as row_id, at as row_at from leaves where leaf >= $1 and leaf < $2 and stream = 1 order by leaf offset 0) n \
         left join lateral (select * from decisions d where d.decided_at = n.row_at and d.id = n.row_id offset 0) d on true"
    };
    (sqlite DECISIONS_FROM_1_TO_2) => {
        "(select leaf as place, hash, id as row_id, at as row_at from leaves where leaf >= $1 and leaf < $2 and stream = 1) n \
         left join decisions d on d.decided_at = n.row_at and d.id = n.row_id"
    };
    (postgres OUTCOMES_FROM_1_TO_2) => {
        "(select leaf as place, hash, id as row_id, at as row_at from leaves where leaf >= $1 and leaf < $2 and stream = 2 order by leaf offset 0) n \
         left join lateral (select * from outcomes o where o.at = n.row_at and o.id = n.row_id offset 0) o on true"
    };
    (sqlite OUTCOMES_FROM_1_TO_2) => {
        "(select leaf as place, hash, id as row_id, at as row_at from leaves where leaf >= $1 and leaf < $2 and stream = 2) n \
         left join outcomes o on o.at = n.row_at and o.id = n.row_id"
    };
    (postgres ROW_AT) => {
        "to_char(n.row_at at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
    };
    (sqlite ROW_AT) => {
        "n.row_at"
    };
    (postgres AT) => {
        "to_char(at at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
    };
    (sqlite AT) => {
        "at"
    };
    (postgres VALID_UNTIL) => {
        "to_char(valid_until at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
    };
    (sqlite VALID_UNTIL) => {
        "valid_until"
    };
    (postgres DECIDED_AT) => {
        "to_char(decided_at at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
    };
    (sqlite DECIDED_AT) => {
        "decided_at"
    };
    (postgres ACTIVATED_AT) => {
        "to_char(a.at at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
    };
    (sqlite ACTIVATED_AT) => {
        "a.at"
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
