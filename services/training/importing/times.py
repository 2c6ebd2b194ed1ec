"""Times as shops write them, to epoch milliseconds.

Called by   cells.py, complete_journey.py
In          epoch seconds or milliseconds (also micro- and nanoseconds; told apart by size), ISO 8601 with or without
            a zone, or a Parquet timestamp
Naive       a time without a zone is read in the shop's zone. In the hour that occurs twice in autumn it is the earlier
            one; in the hour that spring leaves out it is moved to the end of the gap
Out         int64 of length R; NOT_A_TIME where the cell is empty, UNREADABLE where it is no time
"""

from datetime import tzinfo

import numpy as np
import numpy.typing as npt
import pandas as pd

LongArray = npt.NDArray[np.int64]

NOT_A_TIME = np.iinfo(np.int64).min
UNREADABLE = NOT_A_TIME + 1
ZONE_AT_END = r"[tT ]\d.*(?:[zZ]|[+-]\d{2}(?::?\d{2})?)$"
NUMBER = r"[+-]?\d+(?:\.\d+)?"
# A number from here on is of the finer unit: 1e11 s is the year 5138, 1e11 ms is 1973.
EPOCH_UNITS = ((1e17, 1e6), (1e14, 1e3), (1e11, 1.0))


def epochs_to_ms(number_R: npt.NDArray[np.float64]) -> LongArray:
    """Return epoch numbers of any usual unit as milliseconds; NaN is NOT_A_TIME."""
    size_R = np.abs(number_R)
    ms_R = number_R * 1000.0
    for least, divisor in reversed(EPOCH_UNITS):
        ms_R = np.where(size_R >= least, number_R / divisor, ms_R)
    known_R = np.isfinite(ms_R) & (np.abs(ms_R) < 9e15)
    return np.where(known_R, np.round(np.where(known_R, ms_R, 0.0)), NOT_A_TIME).astype(np.int64)


def naive_to_ms(naive_R: "pd.Series[pd.Timestamp]", zone: tzinfo) -> LongArray:
    """Return naive times, read in the shop's zone, as milliseconds."""
    earlier_R = np.ones(len(naive_R), np.bool_)
    aware = naive_R.dt.tz_localize(zone, ambiguous=earlier_R, nonexistent="shift_forward")
    return aware_to_ms(aware)


def aware_to_ms(aware_R: "pd.Series[pd.Timestamp]") -> LongArray:
    """Return times with a zone as milliseconds."""
    utc_R = aware_R.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy("datetime64[ms]")
    return np.where(np.isnat(utc_R), NOT_A_TIME, utc_R.astype(np.int64))


def texts_to_ms(text_R: "pd.Series[str]", zone: tzinfo) -> LongArray:
    """Return times written as text; cells may be written differently."""
    text_R = text_R.str.strip()
    empty_R = (text_R.isna() | (text_R == "")).to_numpy(np.bool_)
    result_R = np.where(empty_R, NOT_A_TIME, UNREADABLE)
    is_number_R = text_R.str.fullmatch(NUMBER).fillna(False).to_numpy(np.bool_)
    has_zone_R = text_R.str.contains(ZONE_AT_END).fillna(False).to_numpy(np.bool_) & ~is_number_R
    if is_number_R.any():
        result_R[is_number_R] = epochs_to_ms(text_R[is_number_R].to_numpy(np.float64))
    for rows_R, is_aware in ((has_zone_R, True), (~empty_R & ~is_number_R & ~has_zone_R, False)):
        if rows_R.any():
            result_R[rows_R] = _iso_to_ms(text_R[rows_R], zone if not is_aware else None)
    return result_R


def _iso_to_ms(text_R: "pd.Series[str]", zone: tzinfo | None) -> LongArray:
    """Return ISO 8601 texts, all with a zone of their own (`zone` is None) or all without."""
    moment_R = pd.to_datetime(text_R, format="ISO8601", errors="coerce", utc=zone is None)
    ms_R = aware_to_ms(moment_R) if zone is None else naive_to_ms(moment_R, zone)
    return np.where(ms_R == NOT_A_TIME, UNREADABLE, ms_R)
