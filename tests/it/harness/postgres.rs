//! A throw-away Postgres cluster for the whole test run, started on first use and gone when the process ends.
//!
//! `initdb` refuses to run as root, so root runs it as `postgres`. If there is no `initdb` the tests fail loudly:
//! `./scripts/test` installs it.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

pub(crate) struct Cluster {
    pub(crate) url: String,
    /// Its standard input is the leash: when this process ends, the cluster is stopped and erased. A line in it restarts it.
    keeper: Child,
    said: BufReader<ChildStdout>,
}

impl Cluster {
    /// Restarts the server: `fast` breaks all connections, `immediate` is a crash. It blocks until it is there again.
    pub(crate) fn restart(&mut self, mode: &str) {
        use std::io::Write as _;
        writeln!(self.keeper.stdin.as_mut().unwrap(), "{mode}").unwrap();
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n", "Postgres did not start again");
    }
}

impl Drop for Cluster {
    /// Stops the cluster and waits until it is gone.
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

static CLUSTER: OnceLock<Cluster> = OnceLock::new();
static TEMPLATE: tokio::sync::OnceCell<()> = tokio::sync::OnceCell::const_new();
static COUNTER: AtomicU32 = AtomicU32::new(0);

/// The directory with `initdb`, wherever the distribution puts it.
pub(crate) fn bin_directory() -> PathBuf {
    let mut versions: Vec<_> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|entries| {
            entries.flatten().map(|entry| entry.path().join("bin")).filter(|path| path.join("initdb").exists()).collect()
        })
        .unwrap_or_default();
    versions.sort();
    let on_path = std::env::var_os("PATH").and_then(|path| std::env::split_paths(&path).find(|dir| dir.join("initdb").exists()));
    versions.pop().or(on_path).expect("no `initdb` here: run ./scripts/test, which installs PostgreSQL")
}

/// Starts a cluster that ends with this process.
pub(crate) fn start() -> Cluster {
    let bin = bin_directory();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let script = format!(
        r#"set -eu
        cd /
        data=$(mktemp -d /tmp/assent-postgres-XXXXXX)
        "{bin}/initdb" -D "$data" -U assent -A trust --no-sync -E UTF8 --locale=C >/dev/null
        "{bin}/pg_ctl" -D "$data" -s -w -l "$data/log" -o "-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories=$data -c fsync=off -c max_connections=400" start >/dev/null
        echo ready
        while read -r mode; do
            "{bin}/pg_ctl" -D "$data" -s -w -m "$mode" -l "$data/log" restart >/dev/null
            echo ready
        done
        "{bin}/pg_ctl" -D "$data" -s -m immediate stop || true
        rm -rf "$data""#,
        bin = bin.display()
    );
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|out| out.stdout == b"0\n");
    let mut command = if is_root {
        let mut command = Command::new("setsid");
        command.args(["runuser", "-u", "postgres", "--", "sh", "-c", &script]);
        command
    } else {
        let mut command = Command::new("setsid");
        command.args(["sh", "-c", &script]);
        command
    };
    let mut keeper = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a shell to start Postgres with");
    let mut line = String::new();
    let mut said = BufReader::new(keeper.stdout.take().unwrap());
    said.read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n", "Postgres did not start; its messages stand above");
    Cluster { url: format!("postgres://assent@127.0.0.1:{port}"), keeper, said }
}

fn cluster() -> &'static Cluster {
    CLUSTER.get_or_init(start)
}

async fn run(database: &str, sql: String) {
    use sqlx::Connection as _;
    let mut connection = sqlx::PgConnection::connect(&format!("{}/{database}", cluster().url)).await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

/// A migrated database on a cluster of its own, so that it can be restarted.
pub(crate) async fn own_cluster() -> (Cluster, String) {
    let cluster = tokio::task::spawn_blocking(start).await.unwrap();
    let url = format!("{}/postgres", cluster.url);
    let store = assent::store::open(&url, 1).await.unwrap();
    store.migrate().await.unwrap();
    (cluster, url)
}

/// A migrated database of its own.
pub(crate) async fn new_database() -> String {
    TEMPLATE
        .get_or_init(|| async {
            run("postgres", "create database template_assent".into()).await;
            let store = assent::store::open(&format!("{}/template_assent", cluster().url), 1).await.unwrap();
            store.migrate().await.unwrap();
            drop(store);
            // A template must have no connections; the pool closes its own in the background.
            run("postgres", "alter database template_assent allow_connections false; select pg_terminate_backend(pid) from pg_stat_activity where datname = 'template_assent'".into()).await;
        })
        .await;
    let name = format!("t{}", COUNTER.fetch_add(1, Ordering::Relaxed));
    run("postgres", format!("create database {name} template template_assent")).await;
    format!("{}/{name}", cluster().url)
}

/// An empty database of its own, without a schema.
pub(crate) async fn empty_database() -> String {
    let name = format!("t{}", COUNTER.fetch_add(1, Ordering::Relaxed));
    run("postgres", format!("create database {name}")).await;
    format!("{}/{name}", cluster().url)
}

/// A copy of a database, as it is once nobody is in the middle of anything.
pub(crate) async fn copy_of(url: &str) -> String {
    let (server, origin) = url.rsplit_once('/').unwrap();
    let name = format!("copy_{}", COUNTER.fetch_add(1, Ordering::Relaxed));
    // The copy needs the origin to itself; whoever was connected connects again.
    for statement in [
        format!("alter database {origin} allow_connections false"),
        format!("select pg_terminate_backend(pid, 10000) from pg_stat_activity where datname = '{origin}'"),
        format!("create database {name} template {origin}"),
        format!("alter database {origin} allow_connections true"),
    ] {
        run("postgres", statement).await;
    }
    format!("{server}/{name}")
}
