"""Two reports or more: several benchmarks and sites joined into one report, and what changed between two.

- ``source``: a folder with runs, and what it says they are of;
- ``fitting``: whether benchmarks go together, and the one benchmark that holds them all;
- ``bring``: their runs, every byte checked, in one folder, each once;
- ``merge``: all of it, up to a plan that ``report.build`` takes;
- ``side``: a finished report as it is compared: its scores, verdicts and settings;
- ``change``: means that changed, each with the interval of its difference;
- ``diff``: all that changed between two reports;
- ``shown``: that as text, Markdown and HTML.
"""
