"""Suites, graders, the runner and red teaming. How well is the charter kept?"""
