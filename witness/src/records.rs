//! The machines' records in the store: one per cluster, under the cluster's name, as JSON, so that an auditor can
//! read what a witness knew.

use crate::store::{self, Store};
use picket_core::ids::StoreId;
use picket_core::ready;
use picket_core::witness::{Record, SCHEMA};

/// The store, for the driver's loop.
#[derive(Debug)]
pub struct Records {
    store: Store,
}

/// Why a record could not be kept or used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store failed; final.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A record cannot be written down.
    #[error("the record of cluster {cluster} cannot be written down: {source}")]
    Unwritable {
        /// Whose.
        cluster: String,
        /// Why.
        source: serde_json::Error,
    },
    /// The bytes are intact and still are no record: another program wrote them.
    #[error("the record of cluster {cluster} cannot be understood: {source}")]
    Unreadable {
        /// Whose.
        cluster: String,
        /// Why.
        source: serde_json::Error,
    },
    /// A newer version wrote the record.
    #[error("the record of cluster {cluster} has schema {found}; this version reads up to {newest}")]
    NewerSchema {
        /// Whose.
        cluster: String,
        /// The record's schema.
        found: u16,
        /// The newest that is understood.
        newest: u16,
    },
}

impl Records {
    /// The records in an open store.
    #[must_use]
    pub const fn new(store: Store) -> Self {
        Self { store }
    }

    /// The store's identity.
    #[must_use]
    pub const fn store_id(&self) -> StoreId {
        StoreId(u128::from_be_bytes(self.store.store_id()))
    }

    /// The record of a cluster; nothing if there never was one.
    ///
    /// # Errors
    /// It cannot be understood.
    pub fn load(&self, cluster: &str) -> Result<Option<Record>, Error> {
        let Some(stored) = self.store.get(cluster) else { return Ok(None) };
        let record: Record = serde_json::from_slice(&stored.bytes)
            .map_err(|source| Error::Unreadable { cluster: cluster.to_owned(), source })?;
        if record.schema > SCHEMA {
            let (cluster, found) = (cluster.to_owned(), record.schema);
            return Err(Error::NewerSchema { cluster, found, newest: SCHEMA });
        }
        Ok(Some(record))
    }

    /// The clusters that the store knows.
    pub fn clusters(&self) -> impl Iterator<Item = &str> {
        self.store.records().map(|(cluster, _)| cluster)
    }
}

impl ready::Store<String, Record> for Records {
    type Error = Error;

    fn persist(&mut self, cluster: &String, record: &Record) -> Result<(), Error> {
        let bytes = serde_json::to_vec(record)
            .map_err(|source| Error::Unwritable { cluster: cluster.clone(), source })?;
        self.store.append(cluster, &bytes)?;
        Ok(())
    }

    fn sync(&mut self) -> Result<(), Error> {
        self.store.commit()?;
        Ok(())
    }
}
