//! HTTP: pages, API, metrics. Reads the store, changes it only by a person with the token.
