//! The layer table: parameters per layer, as the framework prints it.
