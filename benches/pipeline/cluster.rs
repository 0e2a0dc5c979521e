//! A throw-away Postgres cluster that keeps what it commits (fsync and synchronous_commit on), and what it says of itself:
//! commits, a commit's time, what `pgbench` makes of it. Gone when the bench ends.

use sqlx::{Connection as _, PgConnection, Row as _};
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// What is set beside the defaults; printed with the result.
pub(crate) const SETTINGS: &[(&str, &str)] = &[
    ("fsync", "on"),
    ("synchronous_commit", "on"),
    ("shared_buffers", "1GB"),
    ("min_wal_size", "2GB"),
    ("max_wal_size", "8GB"),
    ("max_connections", "200"),
];

pub(crate) struct Cluster {
    url: String,
    /// Its standard input is the leash: when it ends, the cluster is stopped and erased.
    keeper: Child,
    bin: PathBuf,
    pub(crate) postmaster: u32,
}

impl Cluster {
    pub(crate) fn start() -> Self {
        let bin = bin_directory();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let settings: String = SETTINGS.iter().map(|(name, value)| format!(" -c {name}={value}")).collect();
        let script = format!(
            r#"set -eu
            cd /
            data=$(mktemp -d /tmp/assent-bench-XXXXXX)
            "{bin}/initdb" -D "$data" -U assent -A trust -E UTF8 --locale=C >/dev/null
            "{bin}/pg_ctl" -D "$data" -s -w -l "$data/log" -o "-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories=$data{settings}" start >/dev/null
            head -1 "$data/postmaster.pid"
            read -r _ || true
            "{bin}/pg_ctl" -D "$data" -s -m immediate stop || true
            rm -rf "$data""#,
            bin = bin.display()
        );
        // `initdb` refuses to run as root.
        let is_root = Command::new("id").arg("-u").output().is_ok_and(|out| out.stdout == b"0\n");
        let mut command = Command::new("setsid");
        if is_root {
            command.args(["runuser", "-u", "postgres", "--"]);
        }
        let mut keeper =
            command.args(["sh", "-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a shell");
        let mut line = String::new();
        BufReader::new(keeper.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let postmaster = line.trim().parse().expect("Postgres starts; its messages stand above");
        Self { url: format!("postgres://assent@127.0.0.1:{port}"), keeper, bin, postmaster }
    }

    /// Log files that were used before and are used again, as a database has them that runs for long; to make one anew holds
    /// every commit up for as long as it takes to write 16 MiB.
    pub(crate) async fn use_log_files(&self) {
        let mut connection = self.connect("postgres").await;
        for _ in 0..120 {
            run(&mut connection, "select pg_logical_emit_message(false, '', ''); select pg_switch_wal()").await;
        }
        run(&mut connection, "checkpoint").await;
    }

    pub(crate) fn url(&self, database: &str) -> String {
        format!("{}/{database}", self.url)
    }

    /// A connection of the bench's own, with a plain session.
    pub(crate) async fn connect(&self, database: &str) -> PgConnection {
        PgConnection::connect(&self.url(database)).await.unwrap()
    }

    pub(crate) async fn create(&self, database: &str) {
        run(&mut self.connect("postgres").await, &format!("create database {database}")).await;
    }

    pub(crate) async fn drop(&self, database: &str) {
        run(&mut self.connect("postgres").await, &format!("drop database {database} with (force)")).await;
    }

    /// Milliseconds that one commit of one row takes, in the middle of many.
    pub(crate) async fn commit_ms(&self) -> f64 {
        let mut connection = self.connect("postgres").await;
        run(&mut connection, "drop table if exists commit_probe; create table commit_probe (at bigint)").await;
        let mut times = Vec::new();
        for _ in 0..300 {
            let started = Instant::now();
            sqlx::query("insert into commit_probe values (1)").execute(&mut connection).await.unwrap();
            times.push(started.elapsed().as_secs_f64() * 1e3);
        }
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    }

    /// Transactions a second of `pgbench -N -M prepared` with 32 clients.
    pub(crate) async fn pgbench(&self, seconds: u64) -> f64 {
        self.create("pgbench").await;
        let url = self.url("pgbench");
        let pgbench = |args: &[&str]| {
            let output = Command::new(self.bin.join("pgbench")).args(args).arg(&url).stderr(Stdio::piped()).output().unwrap();
            assert!(output.status.success(), "pgbench: {}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap()
        };
        pgbench(&["-i", "-q", "-s", "32"]);
        let seconds = seconds.to_string();
        let said = pgbench(&["-N", "-M", "prepared", "-c", "32", "-j", "2", "-T", &seconds]);
        self.drop("pgbench").await;
        let tps = said.lines().find_map(|line| line.strip_prefix("tps = ")).expect("pgbench says its tps");
        tps.split(' ').next().unwrap().parse().unwrap()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

/// Statements without parameters.
pub(crate) async fn run(connection: &mut PgConnection, sql: &str) {
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(connection).await.unwrap();
}

/// One number.
pub(crate) async fn number(connection: &mut PgConnection, sql: &str) -> i64 {
    sqlx::query(sqlx::AssertSqlSafe(sql.to_owned())).fetch_one(connection).await.unwrap().get(0)
}

/// An id as a daemon gives it at a time (UUIDv7): what is written one after the other stands side by side in an index.
pub(crate) fn id_at(time: &str) -> String {
    format!(
        "(lpad(to_hex((extract(epoch from {time}) * 1000)::bigint), 12, '0') || '7' || right(replace(gen_random_uuid()::text, '-', ''), 19))::uuid"
    )
}

fn bin_directory() -> PathBuf {
    let entries = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions: Vec<_> = entries.map(|entry| entry.path().join("bin")).filter(|bin| bin.join("initdb").exists()).collect();
    versions.sort();
    let on_path = std::env::var_os("PATH").and_then(|path| std::env::split_paths(&path).find(|dir| dir.join("initdb").exists()));
    versions.pop().or(on_path).expect("no `initdb` here: run ./scripts/test once, which installs PostgreSQL")
}
