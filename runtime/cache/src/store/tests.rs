//! A folder in every state it should not be in.

use std::time::{Duration, SystemTime};
use std::{fs, io};

use super::*;

fn fresh() -> (tempfile::TempDir, Cache) {
    let folder = tempfile::TempDir::new().expect("a folder");
    let cache = Cache::open(folder.path().join("cache")).expect("a cache");
    (folder, cache)
}

fn key(n: usize) -> Key {
    Key::new(Kind::Artifact).with("n", n)
}

fn refused(lookup: Lookup) -> Fault {
    match lookup {
        Lookup::Refused(_, fault) => fault,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_put_is_found_again_and_replaced() {
    let (_folder, cache) = fresh();
    assert_eq!(cache.get(&key(1)), Lookup::Miss);
    cache.put(&key(1), b"one").expect("stored");
    cache.put(&key(2), b"two").expect("stored");
    assert_eq!(cache.get(&key(1)), Lookup::Hit(b"one".to_vec()));
    cache.put(&key(1), b"uno").expect("stored");
    assert_eq!(cache.get(&key(1)), Lookup::Hit(b"uno".to_vec()));
    assert_eq!(cache.list().expect("a list").len(), 2);
    assert_eq!(cache.clear(Some(Kind::Record)).expect("cleared"), 0);
    assert_eq!(cache.clear(None).expect("cleared"), 2);
    assert_eq!(cache.get(&key(1)), Lookup::Miss);
}

#[test]
fn swapped_and_garbled_files_are_misses_with_a_reason() {
    let (_folder, cache) = fresh();
    let one = cache.put(&key(1), b"one").expect("stored");
    let two = cache.put(&key(2), b"two").expect("stored");
    fs::copy(&two, &one).expect("copied");
    assert_eq!(refused(cache.get(&key(1))), Fault::OtherKey);
    let listed = cache.list().expect("a list");
    assert_eq!(listed.iter().filter(|entry| entry.content.is_ok()).count(), 1);
    fs::write(&one, b"").expect("emptied");
    assert!(matches!(refused(cache.get(&key(1))), Fault::Damaged(_)));
    cache.put(&key(1), b"one").expect("stored");
    assert_eq!(cache.get(&key(1)), Lookup::Hit(b"one".to_vec()));
}

/// 2,000 files that are not what was written: each is one warning, new work, and the right payload.
#[test]
fn a_damaged_file_costs_one_warning_and_the_work_anew() {
    let (_folder, cache) = fresh();
    let payload = b"kernel flash {\n}\n".repeat(4);
    let path = cache.put(&key(1), &payload).expect("stored");
    let good = fs::read(&path).expect("an entry");
    let mut cases: Vec<Vec<u8>> = Vec::new();
    for at in 0..good.len() {
        cases.push(good[..at].to_vec());
        cases.push(good[at + 1..].to_vec());
        cases.push([&good[..at], &vec![0; good.len() - at]].concat());
        cases.extend((0..8).map(|bit| {
            let mut bad = good.clone();
            bad[at] ^= 1 << bit;
            bad
        }));
    }
    cases.extend([&b"\n"[..], b"\0", &good].map(|more| [&good, more].concat()));
    cases.push(fs::read(cache.put(&key(2), b"two").expect("stored")).expect("another entry"));
    println!("{} damaged files", cases.len());
    assert!(cases.len() >= 2000, "{} cases", cases.len());
    for (n, bad) in cases.iter().enumerate() {
        fs::write(&path, bad).expect("written");
        let (mut warnings, mut made) = (Vec::new(), 0);
        let got: Result<_, ()> =
            cache.get_or_make(&key(1), &mut |text| warnings.push(text), || {
                made += 1;
                Ok(payload.clone())
            });
        assert_eq!((got.as_deref(), warnings.len(), made), (Ok(&payload[..]), 1, 1), "case {n}");
        assert_eq!(cache.get(&key(1)), Lookup::Hit(payload.clone()), "case {n}");
    }
}

#[cfg(unix)]
#[test]
fn what_others_could_have_written_is_refused() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let (folder, cache) = fresh();
    let path = cache.put(&key(1), b"one").expect("stored");
    let mode = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
    };
    assert_eq!(fs::metadata(cache.root()).expect("facts").permissions().mode() & 0o777, 0o700);

    // The same folder, seen by somebody else.
    let stranger = Cache { root: cache.root.clone(), user: cache.user + 1, max_bytes: 1 };
    assert!(refused(stranger.get(&key(1))).to_string().contains("belongs to user"));
    let error = Cache::open_for(cache.root.clone(), cache.user + 1).expect_err("refused");
    assert!(error.to_string().contains("belongs to user"), "{error}");

    mode(&path, 0o666);
    assert!(refused(cache.get(&key(1))).to_string().contains("others can write it (mode 666)"));
    mode(&path, 0o600);
    let elsewhere = folder.path().join("elsewhere");
    fs::rename(&path, &elsewhere).expect("moved");
    symlink(&elsewhere, &path).expect("a link");
    assert_eq!(refused(cache.get(&key(1))), Fault::NotOurs("it is a link".into()));
    fs::remove_file(&path).expect("removed");
    fs::create_dir(&path).expect("a folder");
    assert_eq!(refused(cache.get(&key(1))), Fault::NotOurs("it is not a plain file".into()));

    mode(cache.root(), 0o777);
    let error = Cache::open(cache.root()).expect_err("refused");
    assert!(error.to_string().contains("others can write it"), "{error}");
    mode(cache.root(), 0o700);
    let link = folder.path().join("link");
    symlink(cache.root(), &link).expect("a link");
    let error = Cache::open(&link).expect_err("refused");
    assert!(error.to_string().contains("a link"), "{error}");
}

#[test]
fn a_folder_that_vanishes_comes_back() {
    let (_folder, cache) = fresh();
    cache.put(&key(1), b"one").expect("stored");
    fs::remove_dir_all(cache.root()).expect("removed");
    assert_eq!(cache.get(&key(1)), Lookup::Miss);
    assert_eq!(cache.sweep(), Swept::default());
    cache.put(&key(1), b"one").expect("stored");
    assert_eq!(cache.get(&key(1)), Lookup::Hit(b"one".to_vec()));
}

#[test]
fn a_path_that_is_a_file_is_no_cache() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let error = Cache::open(file.path()).expect_err("refused");
    assert!(error.to_string().contains("not a folder"), "{error}");
    assert!(Cache::open(file.path().join("below")).is_err());
}

#[test]
fn orphans_go_by_age_and_entries_by_use() {
    let (_folder, cache) = fresh();
    let set_age = |path: &Path, seconds: u64| -> io::Result<()> {
        let time = SystemTime::now() - Duration::from_secs(seconds);
        File::options().append(true).open(path)?.set_modified(time)
    };
    for (name, seconds) in [(".new-old", 7200), (".new-young", 60), (".new-ahead", 0)] {
        let path = cache.root().join(name);
        fs::write(&path, b"half").expect("written");
        set_age(&path, seconds).expect("aged");
    }
    // The clock was set back since.
    let ahead = cache.root().join(".new-ahead");
    let later = SystemTime::now() + Duration::from_secs(7200);
    let set = File::options().append(true).open(&ahead).and_then(|file| file.set_modified(later));
    set.expect("from the future");
    assert_eq!(cache.sweep(), Swept { orphans: 2, evicted: 0 });
    let left =
        [".new-old", ".new-young", ".new-ahead"].map(|name| cache.root().join(name).exists());
    assert_eq!(left, [false, true, false]);

    let record = Key::new(Kind::Record);
    let paths: Vec<PathBuf> =
        (0..4).map(|n| cache.put(&key(n), &[7; 1000]).expect("stored")).collect();
    for (path, age) in paths.iter().zip([40, 30, 20, 10]) {
        set_age(path, age).expect("aged");
    }
    set_age(&cache.put(&record, &[7; 1000]).expect("stored"), 5000).expect("aged");
    // Using one saves it.
    assert!(matches!(cache.get(&key(0)), Lookup::Hit(_)));
    let cache = cache.with_max_bytes(3500);
    assert_eq!(cache.sweep(), Swept { orphans: 0, evicted: 2 });
    let left = [0, 1, 2, 3].map(|n| matches!(cache.get(&key(n)), Lookup::Hit(_)));
    assert_eq!(left, [true, false, false, true]);
    assert!(matches!(cache.get(&record), Lookup::Hit(_)));
}

#[test]
fn a_maker_that_fails_stores_nothing_and_a_lost_cache_still_gives_the_payload() {
    let (_folder, cache) = fresh();
    let mut warnings = Vec::new();
    let failed: Result<_, &str> =
        cache.get_or_make(&key(1), &mut |text| warnings.push(text), || Err("no"));
    assert_eq!(failed, Err("no"));
    assert_eq!(cache.get(&key(1)), Lookup::Miss);

    // A file where the folder was: nothing can be stored.
    fs::remove_dir_all(cache.root()).expect("removed");
    fs::write(cache.root(), b"").expect("a file");
    let made: Result<_, &str> =
        cache.get_or_make(&key(1), &mut |text| warnings.push(text), || Ok(b"one".to_vec()));
    assert_eq!(made, Ok(b"one".to_vec()));
    assert!(!warnings.is_empty());
}
