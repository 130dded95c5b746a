//! Preprocessing gives the same bits on every platform; `tests/web.rs` compares the browser with the same digest.

#[path = "support/images.rs"]
mod images;

#[test]
fn preprocessing_is_the_same_everywhere() {
    assert_eq!(images::preprocessing_digest(), images::PREPROCESSING_DIGEST);
}
