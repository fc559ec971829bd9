//! The service manager as it is seen on a bus: one connection, and what is asked of one unit.
//!
//! Contract: signals are listened to before anything is asked, so that none is missed; what they say is never
//! believed, only what the manager answers when it is asked after one. Whatever ends the connection, or leaves the
//! manager without an owner, is [`Trouble::Lost`]: nobody knows then.

use core::num::NonZeroUsize;
use futures_util::stream::StreamExt;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use zbus::connection::Builder;
use zbus::{Connection, MatchRule, MessageStream, OwnedObjectPath, OwnedVariant, Type};

const MANAGER: &str = "org.freedesktop.systemd1";
const MANAGER_PATH: &str = "/org/freedesktop/systemd1";
const MANAGER_INTERFACE: &str = "org.freedesktop.systemd1.Manager";
const UNIT_INTERFACE: &str = "org.freedesktop.systemd1.Unit";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
const NO_SUCH_UNIT: &str = "org.freedesktop.systemd1.NoSuchUnit";

/// Signals that wait to be read, of one unit: a connection whose signals nobody reads gives no answers either, and
/// between two looks at its signals no unit changes so often.
const SIGNALS_MAX: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1023);

/// Why the manager gave no answer that is one.
#[derive(Debug)]
pub(super) enum Trouble {
    /// No bus, or no manager on it; in a line.
    Lost(String),
    /// The manager refused, by the name of its error, and why.
    Refused { name: String, text: String },
}

impl Trouble {
    /// In a line.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Lost(text) | Self::Refused { text, .. } => text.clone(),
        }
    }
}

impl From<zbus::Error> for Trouble {
    fn from(error: zbus::Error) -> Self {
        match error {
            zbus::Error::MethodError(name, text, _) => {
                Self::Refused { name: name.to_string(), text: text.unwrap_or_else(|| name.to_string()) }
            }
            // What the standard names beyond these is about the bus itself: nobody has answered.
            zbus::Error::FDO(error) => match *error {
                zbus::fdo::Error::AccessDenied(text)
                | zbus::fdo::Error::AuthFailed(text)
                | zbus::fdo::Error::InteractiveAuthorizationRequired(text)
                | zbus::fdo::Error::InvalidArgs(text)
                | zbus::fdo::Error::UnknownMethod(text)
                | zbus::fdo::Error::UnknownObject(text)
                | zbus::fdo::Error::UnknownInterface(text)
                | zbus::fdo::Error::UnknownProperty(text)
                | zbus::fdo::Error::Failed(text) => Self::Refused { name: String::new(), text },
                other => Self::Lost(other.to_string()),
            },
            other => Self::Lost(other.to_string()),
        }
    }
}

/// One unit on one connection.
pub(super) struct Unit {
    connection: Connection,
    /// Its first name, which signals use; it may be known by others.
    id: String,
    path: OwnedObjectPath,
    changes: MessageStream,
}

/// A job that was queued, and the stream on which its end is told.
pub(super) struct Job {
    path: OwnedObjectPath,
    removed: MessageStream,
}

/// What a unit is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// `active`, `reloading`, `inactive`, `failed`, `activating`, `deactivating`, or what later versions say.
    pub(super) active: String,
    /// `loaded`, `not-found`, `masked`, `error`, `bad-setting`.
    pub(super) load: String,
}

impl Unit {
    /// Connects, and listens to what happens to the unit.
    pub(super) async fn open(bus: &str, name: &str) -> Result<Self, Trouble> {
        let connection = Builder::address(bus).build().await?;
        // Without subscribers the manager tells nobody of anything. It lasts as long as the connection.
        let subscribed = call::<_, ()>(&connection, MANAGER_PATH, MANAGER_INTERFACE, "Subscribe", &()).await;
        match subscribed {
            Ok(()) | Err(Trouble::Refused { .. }) => {}
            Err(lost) => return Err(lost),
        }
        let path: OwnedObjectPath =
            call(&connection, MANAGER_PATH, MANAGER_INTERFACE, "LoadUnit", &(name,)).await?;
        let rule = signals()
            .interface(PROPERTIES)
            .member("PropertiesChanged")
            .path(path.clone())
            .arg(0, UNIT_INTERFACE)
            .build()?;
        let changes = MessageStream::for_match_rule(rule, &connection, Some(SIGNALS_MAX)).await?;
        let id = property(&connection, path.as_str(), UNIT_INTERFACE, "Id").await?;
        Ok(Self { connection, id, path, changes })
    }

    /// What it is now.
    pub(super) async fn seen(&self) -> Result<Seen, Trouble> {
        let active = property(&self.connection, self.path.as_str(), UNIT_INTERFACE, "ActiveState").await?;
        let load = property(&self.connection, self.path.as_str(), UNIT_INTERFACE, "LoadState").await?;
        Ok(Seen { active, load })
    }

    /// Waits until something changed; what, is to be asked.
    pub(super) async fn changed(&mut self) -> Result<(), Trouble> {
        match self.changes.next().await {
            Some(Ok(_)) => Ok(()),
            Some(Err(error)) => Err(error.into()),
            None => Err(closed()),
        }
    }

    /// Queues a start or a stop in the place of what is queued.
    pub(super) async fn queue(&self, method: &'static str) -> Result<Job, Trouble> {
        let rule = signals()
            .interface(MANAGER_INTERFACE)
            .member("JobRemoved")
            .path(MANAGER_PATH)
            .arg(2, self.id.as_str())
            .build()?;
        let removed = MessageStream::for_match_rule(rule, &self.connection, Some(SIGNALS_MAX)).await?;
        let path = self.manager(method, &(self.id.as_str(), "replace")).await?;
        Ok(Job { path, removed })
    }

    /// Its processes, by number.
    pub(super) async fn processes(&self) -> Result<Vec<u32>, Trouble> {
        let listed: Result<Vec<(String, u32, String)>, Trouble> =
            self.manager("GetUnitProcesses", &(self.id.as_str(),)).await;
        match listed {
            Ok(listed) => Ok(listed.into_iter().map(|(_, pid, _)| pid).collect()),
            // The manager forgets units that are out of service, and never one that has processes.
            Err(Trouble::Refused { name, .. }) if name == NO_SUCH_UNIT => Ok(Vec::new()),
            Err(trouble) => Err(trouble),
        }
    }

    /// Forgets that it failed, and how often it was started.
    pub(super) async fn reset_failed(&self) -> Result<(), Trouble> {
        self.manager("ResetFailedUnit", &(self.id.as_str(),)).await
    }

    /// How it failed, in a word; nothing where the manager does not say.
    pub(super) async fn result(&self) -> Option<String> {
        self.own("Result").await.ok()
    }

    /// A property of its kind of unit, as far as that has it.
    pub(super) async fn own<T>(&self, name: &str) -> Result<T, Trouble>
    where
        T: TryFrom<OwnedVariant>,
        T::Error: Into<zbus::Error>,
    {
        let kind = self.id.rsplit('.').next().unwrap_or_default();
        let mut letters = kind.chars();
        let first: String = letters.next().map(|letter| letter.to_ascii_uppercase()).into_iter().collect();
        let interface = format!("{MANAGER}.{first}{}", letters.as_str());
        property(&self.connection, self.path.as_str(), &interface, name).await
    }

    /// A property that every unit has.
    pub(super) async fn common(&self, name: &str) -> Result<String, Trouble> {
        property(&self.connection, self.path.as_str(), UNIT_INTERFACE, name).await
    }

    async fn manager<B, R>(&self, method: &'static str, body: &B) -> Result<R, Trouble>
    where
        B: serde::Serialize + Type + Sync,
        R: DeserializeOwned + Type,
    {
        call(&self.connection, MANAGER_PATH, MANAGER_INTERFACE, method, body).await
    }
}

impl Job {
    /// Waits until it is over; the manager's word for how: `done`, `failed`, `canceled`, `timeout`, `dependency`,
    /// `skipped` and others.
    pub(super) async fn over(mut self) -> Result<String, Trouble> {
        loop {
            let message = self.removed.next().await.ok_or_else(closed)??;
            let body = message.body();
            let (_, path, _, result): (u32, OwnedObjectPath, String, String) = body.deserialize()?;
            if path == self.path {
                return Ok(result);
            }
        }
    }
}

/// What wakes whoever watches a unit: its state, and the manager's coming and going.
pub(super) struct Watch {
    pub(super) unit: Unit,
    owners: MessageStream,
}

impl Watch {
    pub(super) async fn open(bus: &str, name: &str) -> Result<Self, Trouble> {
        let unit = Unit::open(bus, name).await?;
        let rule = MatchRule::builder()
            .msg_type(zbus::message::Type::Signal)
            .sender("org.freedesktop.DBus")
            .interface("org.freedesktop.DBus")
            .member("NameOwnerChanged")
            .arg(0, MANAGER)
            .build()?;
        let owners = MessageStream::for_match_rule(rule, &unit.connection, Some(SIGNALS_MAX)).await?;
        Ok(Self { unit, owners })
    }

    /// Waits until the unit's state was told anew; an error: the manager or the bus is gone.
    pub(super) async fn changed(&mut self) -> Result<(), Trouble> {
        loop {
            tokio::select! {
                change = self.unit.changes.next() => {
                    let message = change.ok_or_else(closed)??;
                    let body = message.body();
                    let (_, changed, invalid): (String, BTreeMap<String, OwnedVariant>, Vec<String>) =
                        body.deserialize()?;
                    if changed.contains_key("ActiveState") || invalid.iter().any(|name| name == "ActiveState") {
                        return Ok(());
                    }
                }
                owner = self.owners.next() => {
                    owner.ok_or_else(closed)??;
                    return Err(Trouble::Lost("the service manager left the bus, or came back".to_owned()));
                }
            }
        }
    }
}

fn signals<'m>() -> zbus::match_rule::Builder<'m> {
    MatchRule::builder().msg_type(zbus::message::Type::Signal).sender(MANAGER)
}

fn closed() -> Trouble {
    Trouble::Lost("the bus closed the connection".to_owned())
}

async fn call<B, R>(
    connection: &Connection,
    path: &str,
    interface: &str,
    method: &str,
    body: &B,
) -> Result<R, Trouble>
where
    B: serde::Serialize + Type + Sync,
    R: DeserializeOwned + Type,
{
    let answer = connection.call_method(Some(MANAGER), path, Some(interface), method, body).await?;
    Ok(answer.body().deserialize()?)
}

async fn property<T>(connection: &Connection, path: &str, interface: &str, name: &str) -> Result<T, Trouble>
where
    T: TryFrom<OwnedVariant>,
    T::Error: Into<zbus::Error>,
{
    let value: OwnedVariant = call(connection, path, PROPERTIES, "Get", &(interface, name)).await?;
    let read = T::try_from(value).map_err(|error| -> zbus::Error { error.into() });
    read.map_err(|error| Trouble::Lost(format!("{name} is not what it should be: {error}")))
}
