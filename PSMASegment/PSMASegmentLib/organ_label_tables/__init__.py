"""Tables value -> organ of label images that other programs write, as JSON.

Read off the class lists of TotalSegmentator 2 (Apache-2.0; Wasserthal 2023, Radiol Artif Intell 5:e230024): the task
"total" as it is since version 2 and, under ``total_v1``, as it was before, and the task "head_glands_cavities".
"""
