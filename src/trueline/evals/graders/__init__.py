"""What turns a reply into a grade: pass, fail or unscored."""
