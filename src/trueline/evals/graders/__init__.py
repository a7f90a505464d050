"""What turns a reply into a grade: exact checks first, then a trained grader; never keywords as verdicts."""
