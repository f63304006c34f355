"""Numbers from predictions. Plain numpy and scipy: no torch, no model, no call of a reward.

spans         true and false positives of spans, precision, recall, F-beta; the micro metrics
classes       the same counts for classes
outputs       what a candidate says against the gold, for spans, classes and texts
errors        which gold span met which predicted one: error kinds and the confusion of labels
ranking       reward by rank, mean of the top k, oracle@k, reciprocal rank, Kendall's tau
calibration   whether a probability of 0.8 is right 8 times in 10
calibration_map  maps that make probabilities mean what they say
thresholds    how probable a span must be for a precision or recall
significance  bootstrap intervals and paired tests over examples
measure       all of it for one set of predictions, and the paired comparison of two
records       predictions as JSONL files

docs/numbers.md says how each number is computed and when it is undefined.
"""
