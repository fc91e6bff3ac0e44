"""A long time of mixed work with faults and kills, at the end of which every list is as it should be.

serving.py has the processes, storage.py what they keep, feeding.py the work, figures.py what is judged and written.
"""
