use super::*;

#[test]
fn an_instant_is_as_long_after_the_boot_as_it_says() {
    assert_eq!(Instant::since_boot(Duration::from_millis(7)).elapsed(), Duration::from_millis(7));
    assert_eq!(Instant::since_boot(Duration::ZERO), Instant::BOOT);
    assert_eq!(Instant::since_boot(Duration::MAX), Instant::NEVER, "cut");
}
