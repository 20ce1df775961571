//! What pages take from the code is what the code says: tables of ops, passes and choices, and excerpts of `tilec emit`.
//! `TILEC_BLESS=1 cargo test -p tilec-tests --test made` makes them anew.

use tilec_tests::made::remade;
use tilec_tests::{expect_file, files, no_complaints, root, short};

#[test]
fn what_pages_take_from_the_code_is_what_it_says() {
    let (mut complaints, mut parts) = (Vec::new(), 0);
    for path in files(&root().join("docs"), "md") {
        let page = std::fs::read_to_string(&path).unwrap_or_default();
        parts += page.lines().filter(|line| line.starts_with("<!-- made: ")).count();
        let new = remade(&page).map_err(|why| format!("{}: {why}", short(&path)));
        complaints.extend(new.and_then(|new| expect_file(&path, &new)).err());
    }
    no_complaints(complaints);
    assert!(parts >= 20, "{parts} parts");
}
