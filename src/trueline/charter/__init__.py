"""The charter: the company's written rules, parsed, checked and compiled. What is forbidden? Look here."""
