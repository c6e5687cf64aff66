//! `chrono-api keys`: API keys from the command line, beside a running gateway.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use chrono_auth::{CreatedKey, KeyOrder, KeyRecord, KeyService, Keyring, Role, Tier};
use chrono_domain::{Clock, SystemClock, Timestamp};
use secrecy::ExposeSecret;

use crate::cli::KeysAction;
use crate::compose::{open_store_as_tool, store_file};
use crate::config::Config;
use crate::supervisor::Supervisor;

/// Length of a day.
const DAY: Duration = Duration::from_hours(24);
/// How long the store may take to close.
const CLOSE: Duration = Duration::from_secs(5);

/// Does what was asked, and prints it.
pub(crate) async fn run(
    config: &Config,
    action: &KeysAction,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let supervisor = Supervisor::new(Arc::clone(&clock));
    let file = store_file(&config.data_dir);
    let (creates, exists) = (matches!(action, KeysAction::Create { .. }), file.exists());
    anyhow::ensure!(
        creates || exists,
        "{} holds no store; name the gateway's directory with --data-dir DIR",
        config.data_dir.display()
    );
    let store = open_store_as_tool(&config.data_dir, &supervisor, clock.as_ref())?;
    let keys = KeyService::new(store, Arc::new(Keyring::new([])), Arc::clone(&clock));
    let done = act(&keys, action, clock.now(), out).await;
    drop(supervisor.shutdown(CLOSE).await);
    done?;
    // Not to `out`: that holds the key alone, for scripts.
    match (creates, exists) {
        (true, true) => writeln!(
            std::io::stderr(),
            "stored in {}; a running gateway takes it within 5 s",
            file.display()
        )?,
        (true, false) => writeln!(
            std::io::stderr(),
            "stored in {}, a new store; name a gateway's directory with --data-dir DIR",
            file.display()
        )?,
        (false, _) => {}
    }
    Ok(())
}

async fn act(
    keys: &KeyService,
    action: &KeysAction,
    now: Timestamp,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    match action {
        KeysAction::Create { role, tier, client, days } => {
            let role = Role::find(role).context("unknown role")?;
            let idle_tier = tier.is_some() && role != Role::Public;
            anyhow::ensure!(!idle_tier, "only public keys have a tier; leave --tier out");
            let order = KeyOrder {
                role,
                tier: tier
                    .as_deref()
                    .map_or(Some(Tier::Free), Tier::find)
                    .context("unknown tier")?,
                client: client.clone(),
                not_after: days.map(|days| now.plus(DAY * days)),
            };
            show_created(&keys.create(order).await?, out)
        }
        KeysAction::Rotate { id, days } => {
            let not_after = days.map(|days| now.plus(DAY * days));
            show_created(&keys.rotate(id, not_after).await?, out)?;
            let reminder = "the key before it works on until `keys revoke";
            Ok(writeln!(std::io::stderr(), "{reminder} {id}`")?)
        }
        KeysAction::Revoke { id } => {
            keys.revoke(id).await?;
            Ok(writeln!(out, "revoked {id}")?)
        }
        KeysAction::List => show_list(&keys.list().await?, out),
    }
}

fn show_created(made: &CreatedKey, out: &mut dyn Write) -> anyhow::Result<()> {
    writeln!(out, "{}", made.text.expose_secret())?;
    Ok(writeln!(std::io::stderr(), "id {}; the key is shown this once", made.id)?)
}

fn show_list(keys: &[KeyRecord], out: &mut dyn Write) -> anyhow::Result<()> {
    writeln!(
        out,
        "{:<9} {:<9} {:<5} {:<24} {:<24} {:<24} CLIENT",
        "ID", "ROLE", "TIER", "CREATED", "ENDS", "REVOKED"
    )?;
    let shown = |at: Timestamp| at.to_millis().to_string();
    let time = |at: Option<Timestamp>| at.map_or_else(|| "-".to_owned(), shown);
    for key in keys {
        let tier = key.tier.as_deref().unwrap_or("-");
        let (created, ends, revoked) =
            (shown(key.created_at), time(key.not_after), time(key.revoked_at));
        writeln!(
            out,
            "{:<9} {:<9} {tier:<5} {created:<24} {ends:<24} {revoked:<24} {}",
            key.id, key.role, key.client
        )?;
    }
    Ok(())
}
