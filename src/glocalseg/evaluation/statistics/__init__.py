"""Intervals, tests and verdicts over test subjects and repeats.

A score array has one value per (subject, repeat): structures of a volume averaged first, then volumes of a subject, nothing
else. A repeat has its own choice of labelled volumes, its own pretraining and its own fine-tuning seed, the same for every
method and, nested, for every budget; so differences between two methods are paired by subject and repeat, and repeats are
independent of one another. What is estimated is the mean over subjects like these, choices from this pool, and seeds.

- ``arrays``: from score rows to arrays, and random numbers that depend on a purpose alone;
- ``intervals``: the interval of a mean and of a paired gain, with subjects and repeats as random factors;
- ``signflip``: exact p values over repeats, corrected within a family of comparisons;
- ``verdicts``: better, worse, equivalent or undecided, and the comparison of a whole family;
- ``failures``: runs that did not train, as an outcome of their own;
- ``power``: what the design could have found, and what it would need;
- ``efficiency``: what a method is worth in labelled volumes and in hours;
- ``components``: where the variance comes from, by a Latin square;
- ``rising``: cells whose validation scores still rise when training ends.

What is not here, because simulations with the variances of real runs ruled it out: percentile bootstraps (they find
differences that are not there in 8 to 14% of cases), Wilcoxon's test over subjects (59 to 88%) or over runs that share a seed
(12 to 29%), and an interval of the median of all values. tests/evaluation/test_coverage.py holds what is here to its word.
"""
