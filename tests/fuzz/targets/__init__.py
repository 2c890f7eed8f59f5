"""What is fuzzed, a module each: ``prepare(folder)`` once a process, then ``make(rng, base, folder)`` for every case.

``make`` writes the corrupted input below ``folder`` and returns what was done to it, and a function that lets the library have
it. That function returns what came of it, lets errors of this project pass, and raises ``WrongError`` for a result that is not
right.
"""
