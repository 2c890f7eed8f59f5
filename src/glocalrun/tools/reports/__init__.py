"""Programs about finished reports: several joined into one, and two compared."""
