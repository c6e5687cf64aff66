//! What whoever starts a test run may choose.

/// Gives the whole number that a variable holds.
///
/// # Errors
/// When it holds something else.
#[expect(clippy::disallowed_methods, reason = "tests have no configuration to ask")]
pub fn number_from_environment(name: &str) -> anyhow::Result<Option<u64>> {
    let Ok(text) = std::env::var(name) else { return Ok(None) };
    match text.parse() {
        Ok(number) => Ok(Some(number)),
        Err(_broken) => anyhow::bail!("{name} is {text:?}, and should be a whole number"),
    }
}
