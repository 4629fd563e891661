//! What the window knows. No drawing.
