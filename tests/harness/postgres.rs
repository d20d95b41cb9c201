//! A real PostgreSQL server on loopback, for as long as the tests of this process run.
//!
//! The server is made with `initdb` in a directory of its own, under a user of no rights where the tests run as root,
//! and goes away with the process: it hangs on a pipe that the kernel closes, however the process ends.

use std::fs;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

/// The superuser, and what its password is where one is asked for.
pub const USER: &str = "rehearsal";
pub const PASSWORD: &str = "correct horse battery";

const PATIENCE: Duration = Duration::from_secs(60);

/// One server. Dropped, it is stopped and its files are gone.
pub struct Server {
    pub port: u16,
    pub directory: PathBuf,
    bin: PathBuf,
    keeper: Mutex<Option<Child>>,
}

/// The server that the tests of a process share: each makes its own database in it.
pub fn shared() -> &'static Server {
    static SHARED: OnceLock<Server> = OnceLock::new();
    SHARED.get_or_init(|| Server::start(&[]))
}

impl Server {
    /// A server of one's own, with more settings (`"max_connections = 20"`).
    pub fn start(settings: &[&str]) -> Self {
        let directory = std::env::temp_dir().join(format!("rehearsal-postgres-{}", uuid::Uuid::now_v7()));
        fs::create_dir_all(&directory).expect("a directory for the server");
        let server = Self { port: free_port(), directory, bin: bin(), keeper: Mutex::new(None) };
        server.make(settings);
        server.run();
        server
    }

    fn make(&self, settings: &[&str]) {
        let directory = &self.directory;
        give_away(directory);
        let password = directory.join("password");
        fs::write(&password, PASSWORD).expect("the password");
        give_away(&password);
        let made = as_nobody(&self.bin.join("initdb"))
            .args(["--auth-local=trust", "--auth-host=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"])
            .arg(format!("--username={USER}"))
            .arg(format!("--pwfile={}", password.display()))
            .arg(directory.join("data"))
            .output()
            .expect("initdb runs");
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let mut conf = format!(
            "port = {}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = '{}'\n\
             shared_buffers = 64MB\nmax_connections = 200\n",
            self.port,
            directory.display()
        );
        for setting in settings {
            conf.push_str(setting);
            conf.push('\n');
        }
        let path = directory.join("data/postgresql.auto.conf");
        fs::write(&path, conf).expect("the settings");
        give_away(&path);
    }

    /// Starts it again after [`Server::stop`], on the same port.
    pub fn run(&self) {
        // Closed with this process: then `read` ends, and with it the server.
        let script = "\"$1\" -D \"$2/data\" >\"$2/log\" 2>&1 & server=$!; read -r _; kill -INT $server; wait $server; \
                      [ -e \"$2/kept\" ] || rm -rf \"$2\"";
        let mut keeper = as_nobody(Path::new("sh"));
        keeper.args(["-c", script, "keeper"]).arg(self.bin.join("postgres")).arg(&self.directory);
        keeper.stdin(Stdio::piped()).process_group(0);
        let child = keeper.spawn().expect("the server starts");
        *self.keeper.lock().expect("not poisoned") = Some(child);
        let begun = Instant::now();
        while !self.answers() {
            let log = || fs::read_to_string(self.directory.join("log")).unwrap_or_default();
            assert!(begun.elapsed() < PATIENCE, "the server does not answer: {}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Stops it at once, as a crash of its machine would, but for its files: they stay.
    pub fn stop(&self) {
        fs::write(self.directory.join("kept"), "").expect("a mark");
        let keeper = self.keeper.lock().expect("not poisoned").take();
        if let Some(mut keeper) = keeper {
            drop(keeper.stdin.take());
            keeper.wait().expect("the server ends");
        }
        fs::remove_file(self.directory.join("kept")).expect("the mark");
    }

    /// A new, empty database: its name.
    pub fn database(&self) -> String {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", MADE.fetch_add(1, Ordering::Relaxed));
        self.psql("postgres", &format!("CREATE DATABASE {name}"));
        name
    }

    /// Without a password.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/{database}", self.port)
    }

    /// Runs statements as the superuser; rows as lines of columns between `|`.
    pub fn psql(&self, database: &str, sql: &str) -> String {
        self.try_psql(database, sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// Likewise; what the server said, where it refused.
    pub fn try_psql(&self, database: &str, sql: &str) -> Result<String, String> {
        let output = Command::new(self.bin.join("psql"))
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", USER, "-d", database, "-c", sql])
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string()])
            .env("PGPASSWORD", PASSWORD)
            .output()
            .expect("psql runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    /// All that is in all its databases, as statements.
    pub fn dump(&self) -> String {
        let output = Command::new(self.bin.join("pg_dumpall"))
            .args(["-U", USER, "-h", "127.0.0.1", "-p", &self.port.to_string(), "--no-role-passwords"])
            .env("PGPASSWORD", PASSWORD)
            .output()
            .expect("pg_dumpall runs");
        assert!(output.status.success(), "pg_dumpall: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn answers(&self) -> bool {
        let output = Command::new(self.bin.join("pg_isready"))
            .args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()])
            .status();
        output.is_ok_and(|status| status.success())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut keeper) = self.keeper.lock().expect("not poisoned").take() {
            drop(keeper.stdin.take());
            let _ = keeper.wait();
        }
        // Whoever made it is gone with it, or was stopped and never run again.
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Where the newest server's programs are: Debian keeps them off the PATH.
fn bin() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions.map(|entry| entry.path().join("bin")).filter(|bin| bin.join("initdb").exists()).max();
    newest.or_else(|| on_path("initdb")).expect("PostgreSQL is installed (`./test` installs it: package postgresql)")
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).find(|directory| directory.join(program).exists())
}

/// PostgreSQL refuses to run as root: then it runs as the user that its package made.
fn as_nobody(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program).current_dir("/");
    command
}

/// To the user that the server runs as.
pub fn give_away(path: &Path) {
    if is_root() {
        let given = Command::new("chown").arg("postgres:postgres").arg(path).status();
        assert!(given.is_ok_and(|status| status.success()), "{} for the user postgres", path.display());
    }
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output().expect("id runs");
    output.stdout.trim_ascii() == b"0"
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}
