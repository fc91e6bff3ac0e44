"""Mixed work with faults and kills for a long time, after which every list must be correct.

serving.py has the processes, storage.py their data, feeding.py the work, figures.py the measurements and the report.
"""
