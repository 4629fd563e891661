//! The program around the views.
