"""Objects of other libraries that are arrays of numbers: columns and tables of pandas, pictures of Pillow.

They are known by their methods, so that neither library is imported.
"""

from typing import Any

import numpy as np

NUMBERS = "fiubc"  # the kinds of dtypes
PYTHONS = {bool, int, float, complex, list, tuple}
OF_PALETTE = ("P", "PA")  # the modes of pictures whose numbers are places in a list of colours


def as_numbers(value: Any) -> "np.ndarray[Any, Any] | None":
    """A column or table of pandas as a new array, or a picture of Pillow as one; None for an object of any other kind.

    Columns of different dtypes get the one that holds them all, as NumPy combines them. A picture has the shape
    (height, width), or (height, width, bands), of uint8 in most modes. Rows are taken in their order: their labels
    count for nothing.

    Raises:
        TypeError: it is an Index, has a column of dates, categories, text or other objects, or is a picture of places
            in a palette.
        ValueError: a value is missing (NaN or NA).

    >>> as_numbers([1.0]) is None
    True
    """
    kind = type(value)
    if hasattr(kind, "isna") and hasattr(kind, "to_numpy"):
        return _of_table(value)
    if hasattr(kind, "__array_interface__") and not isinstance(value, np.ndarray | np.generic):
        if getattr(value, "mode", None) in OF_PALETTE:
            raise TypeError(
                f"a picture of mode {value.mode!r} holds places in a palette, not colours; write image.convert('RGB')"
            )
        return np.array(value)
    return None


def as_data(data: Any, dtype: Any) -> Any:
    """What a Tensor is made of, as an array: numbers of Python, NumPy or another library.

    Those of Python become float32 or complex64 unless the dtype is given. An array of another library keeps its dtype,
    and shares its memory if that may be written to.

    Raises:
        TypeError: it gives no array, such as one of a dtype that NumPy does not have.
        TypeError, ValueError: as for `as_numbers`.

    >>> as_data([1, 2], None)
    array([1., 2.], dtype=float32)
    """
    if type(data) in PYTHONS:  # the usual case is spared the questions below
        return _of_python(data, dtype)
    if isinstance(data, np.ndarray | np.generic):
        return data
    if (numbers := as_numbers(data)) is not None:
        return numbers
    if hasattr(data, "__array__"):
        try:
            array = np.asarray(data)
        except (TypeError, ValueError, RuntimeError) as error:
            kind = f"{type(data).__module__}.{type(data).__qualname__}"
            raise TypeError(f"a Tensor is made of an array, which this {kind} does not give: {error}") from error
        return array if array.flags.writeable else array.copy()
    return _of_python(data, dtype)


def _of_python(data: Any, dtype: Any) -> "np.ndarray[Any, Any]":
    array = np.asarray(data, dtype)
    if dtype is None and array.dtype.kind in "iufc":
        return array.astype(np.complex64 if array.dtype.kind == "c" else np.float32)
    return array


def _of_table(table: Any) -> "np.ndarray[Any, Any]":
    kind = type(table).__name__
    if hasattr(table, "get_indexer"):
        raise TypeError(f"a {kind} of pandas labels rows or columns and is no array of numbers; write index.to_numpy()")
    is_frame = hasattr(table, "columns")
    columns = list(zip(table.columns, table.dtypes, strict=True)) if is_frame else [(None, table.dtype)]
    for name, dtype in columns:
        if dtype.kind not in NUMBERS:
            what = f"column {name!r} of a {kind}" if is_frame else f"a {kind}"
            use = "pandas.get_dummies(...) or .cat.codes" if hasattr(dtype, "categories") else ".astype(np.float32)"
            raise TypeError(f"{what} of pandas holds {dtype}, not numbers or booleans; write {use}")
    missing = np.asarray(table.isna())
    if missing.any():
        row, *column = np.argwhere(missing)[0]
        where = f"row {row}, column {columns[column[0]][0]!r}," if is_frame else f"row {row}"
        raise ValueError(f"{where} of a {kind} of pandas is missing (NaN or NA); write .dropna() or .fillna(0)")
    dtypes = [getattr(dtype, "numpy_dtype", getattr(dtype, "subtype", dtype)) for _, dtype in columns]
    return np.array(table.to_numpy(dtype=np.result_type(*dtypes) if dtypes else None))
