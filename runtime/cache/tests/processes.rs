//! Several processes at one cache, some of them killed. `TILEC_CACHE_ROUNDS=1000` does all rounds.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tilec_cache::{Cache, Key, Kind, Lookup};

const ROLE: &str = "TILEC_CACHE_TEST_ROLE";
const ROOT: &str = "TILEC_CACHE_TEST_ROOT";
const KEYS: usize = 6;

fn key(n: usize) -> Key {
    Key::new(Kind::Artifact).with("n", n)
}

/// A payload that says for itself whether it is whole: one byte, often.
fn payload(n: usize, turn: usize) -> Vec<u8> {
    vec![(turn % 251) as u8; 5_000 + 40_000 * n]
}

fn is_whole(n: usize, bytes: &[u8]) -> bool {
    bytes.len() == 5_000 + 40_000 * n && bytes.iter().all(|&byte| byte == bytes[0])
}

/// This test program again, in another role.
fn start(role: &str, root: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["--exact", "a_child_plays_its_role"]).env(ROLE, role).env(ROOT, root);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a process")
}

/// Not a test of its own: what the processes started by the others do.
#[test]
fn a_child_plays_its_role() {
    let (Ok(role), Ok(root)) = (std::env::var(ROLE), std::env::var(ROOT)) else { return };
    let cache = Cache::open(&root).expect("a cache");
    match role.as_str() {
        "write" => {
            for turn in std::process::id() as usize.. {
                let n = turn % KEYS;
                cache.put(&key(n), &payload(n, turn)).expect("stored");
            }
        }
        "read" => {
            for turn in 0..3000 {
                let n = turn % KEYS;
                match cache.get(&key(n)) {
                    Lookup::Hit(bytes) => assert!(is_whole(n, &bytes)),
                    Lookup::Miss => {}
                    Lookup::Refused(path, fault) => panic!("{}: {fault}", path.display()),
                }
            }
        }
        "make" => {
            let make = || {
                let path = Path::new(&root).join("made");
                let mut log = fs::File::options().append(true).create(true).open(path)?;
                std::thread::sleep(Duration::from_millis(100));
                log.write_all(b"x").map(|()| payload(1, 7))
            };
            let made = cache.get_or_make(&key(1), &mut |warning| panic!("{warning}"), make);
            assert_eq!(made.expect("made"), payload(1, 7));
        }
        "make own" => {
            let n = std::process::id() as usize;
            let made = cache.get_or_make(&key(n), &mut |warning| panic!("{warning}"), || {
                Ok::<_, ()>(payload(0, n))
            });
            assert_eq!(made, Ok(payload(0, n)));
        }
        // Where no file can grow.
        "make on a full disk" => {
            let mut warnings = 0;
            let make = || Ok::<_, ()>(payload(1, 7));
            let made = cache.get_or_make(&key(1), &mut |_| warnings += 1, make);
            assert_eq!((made, warnings), (Ok(payload(1, 7)), 1));
        }
        other => panic!("no role {other}"),
    }
}

fn rounds() -> usize {
    std::env::var("TILEC_CACHE_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(20)
}

#[test]
fn writers_killed_at_any_point_leave_whole_entries() {
    let folder = TempDir::new().expect("a folder");
    let root = folder.path().join("cache");
    let cache = Cache::open(&root).expect("a cache");
    let mut hits = 0;
    for round in 0..rounds() {
        let mut writers: Vec<Child> = (0..4).map(|_| start("write", &root)).collect();
        // Long enough that they write; not the same point twice.
        let until = Instant::now() + Duration::from_micros(20_000 + 977 * (round as u64 % 40));
        while Instant::now() < until {
            for n in 0..KEYS {
                hits += usize::from(whole(&cache, n));
            }
        }
        for writer in &mut writers {
            writer.kill().expect("killed");
            writer.wait().expect("waited for");
        }
        for n in 0..KEYS {
            hits += usize::from(whole(&cache, n));
        }
    }
    println!("{} writers killed, {hits} entries read, all whole", 4 * rounds());
    assert!(hits > rounds() * KEYS / 2, "the writers hardly wrote: {hits} hits");
    let listed = cache.list().expect("a list");
    assert!(listed.iter().all(|entry| entry.content.is_ok()), "{listed:?}");
}

fn whole(cache: &Cache, n: usize) -> bool {
    match cache.get(&key(n)) {
        Lookup::Hit(bytes) => {
            assert!(is_whole(n, &bytes));
            true
        }
        Lookup::Miss => false,
        Lookup::Refused(path, fault) => panic!("{}: {fault}", path.display()),
    }
}

/// Runs 64 processes at once, which all succeed.
fn make_in_many(what: &str, root: &Path) {
    let mut makers: Vec<Child> = (0..64).map(|_| start(what, root)).collect();
    assert!(makers.iter_mut().all(|maker| maker.wait().expect("waited for").success()));
}

#[test]
fn processes_that_want_one_entry_make_it_once() {
    let folder = TempDir::new().expect("a folder");
    let root = folder.path().join("cache");
    Cache::open(&root).expect("a cache");
    make_in_many("make", &root);
    let made = fs::read(root.join("made")).expect("a log");
    assert_eq!(made.len(), 1, "made {} times", made.len());
    assert_eq!(Cache::open(&root).expect("a cache").list().expect("a list").len(), 1);
}

#[test]
fn processes_that_want_entries_of_their_own_all_get_them() {
    let folder = TempDir::new().expect("a folder");
    let root = folder.path().join("cache");
    Cache::open(&root).expect("a cache");
    make_in_many("make own", &root);
    assert_eq!(Cache::open(&root).expect("a cache").list().expect("a list").len(), 64);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_costs_a_warning_and_what_was_there_stays() {
    let folder = TempDir::new().expect("a folder");
    let root = folder.path().join("cache");
    let cache = Cache::open(&root).expect("a cache");
    cache.put(&key(2), &payload(2, 7)).expect("stored");
    let program = std::env::current_exe().expect("this program");
    // The shell hands on both: files that end where they begin, and that to write one is no reason to die.
    let script = "trap '' XFSZ; ulimit -f 0; exec \"$0\" --exact a_child_plays_its_role";
    let mut child = Command::new("sh");
    child.args(["-c", script]).arg(program).stdout(Stdio::null()).stderr(Stdio::null());
    let ended = child.env(ROLE, "make on a full disk").env(ROOT, &root).status();
    assert!(ended.expect("a process").success());
    assert!(whole(&cache, 2) && !whole(&cache, 1));
    assert_eq!(cache.list().expect("a list").len(), 1);
}

#[test]
fn readers_do_not_mind_who_clears() {
    let folder = TempDir::new().expect("a folder");
    let root = folder.path().join("cache");
    let cache = Cache::open(&root).expect("a cache").with_max_bytes(300_000);
    let mut readers: Vec<Child> = (0..16).map(|_| start("read", &root)).collect();
    for turn in 0.. {
        cache.put(&key(turn % KEYS), &payload(turn % KEYS, turn)).expect("stored");
        if turn % 10 == 9 {
            cache.clear(None).expect("cleared");
        }
        if readers.iter_mut().all(|reader| reader.try_wait().expect("a state").is_some()) {
            break;
        }
    }
    assert!(readers.iter_mut().all(|reader| reader.wait().expect("waited for").success()));
}
