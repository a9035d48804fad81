//! Registries: images pulled into the store and pushed from it by the OCI distribution protocol; credentials; search.
