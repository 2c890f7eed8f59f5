"""Programs about the runs of a published report: taken up in a checkout, and held against those that were made there."""
