"""Stages of the way from data to weights: each does what is left of it, and nothing where it is done.

In: a configuration's name, a fold and the folders. Out: what `training.train` and `training.evaluate` leave.
"""

from collections.abc import Sequence
from pathlib import Path

from training.calibrate import RULE_FILE
from training.checkpoints import finished, read_state, run_folder
from training.configs import CONFIGS
from training.evaluate import METRICS_FILE, evaluate, judged_folder, read_evaluation
from training.fitted_rules import CONTEXT_RULE_FILE, SCAN_RULE_FILE
from training.folds import Fold
from training.saved import NETWORK_FILE, older
from training.train import train


def train_rest(name: str, fold: Fold, data: Path, runs: Path) -> bool:
    """Train a configuration from its start or from where it was stopped; say whether anything was left to train."""
    config, run = CONFIGS[name], run_folder(runs, name, fold)
    state = read_state(config, run)
    if state is not None and finished(config, state):
        return False
    train(config, name, fold, data, runs, resume=state is not None)
    return True


def evaluate_rest(name: str, fold: int, data: Path, runs: Path) -> bool:
    """Judge a fold's network unless that was done since it was trained; say whether it was left to do."""
    run = run_folder(runs, name, fold)
    if not older(run / METRICS_FILE, run / NETWORK_FILE):
        return False
    evaluate(name, [fold], data, runs)
    return True


def pool_rest(name: str, folds: Sequence[int], data: Path, runs: Path) -> bool:
    """Pool these folds, all judged, unless that was done since; say whether it was left to do."""
    pooled = judged_folder(runs, name, None)
    judged = [run_folder(runs, name, fold) / METRICS_FILE for fold in folds]
    made = [pooled / name for name in (METRICS_FILE, RULE_FILE, SCAN_RULE_FILE, CONTEXT_RULE_FILE)]
    if not any(older(file, one) for file in made for one in judged) and read_evaluation(pooled).folds == tuple(folds):
        return False
    evaluate(name, folds, data, runs, reuse=True, pool=True)
    return True
