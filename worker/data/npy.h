#pragma once
/// NumPy arrays as a dataset: rows X (two or more dimensions, the first counts rows, the rest are flattened in C order) and labels y (as many), in two .npy
/// files or as arrays `X` and `y` of one .npz file. float32, float64, whole numbers and bool, either byte order, C or Fortran order; numbers become float32 as
/// they are. Rows are dense.
///
/// Class labels are whole numbers; their distinct values, sorted, become 0 … k − 1. A bad row (a number that is not finite as a float32, a label that is no
/// class, of a test file one that the training data lacks) is left out and counted.

#include <string>
#include <vector>

#include "proto/job_spec.h"
#include "worker/data/rows.h"
#include "worker/data/source.h"

namespace sluice::worker::data {

/// files: [X, y], or one .npz. mapping: of the training files when these are the test files, else null. Memory: the files and the rows. Errors: kBadData: no
/// arrays, of a type that is not read, cut off, of shapes that do not fit.
[[nodiscard]] Result<Rows> read_npy(std::vector<SourceFile>& files, const std::vector<std::string>& paths, proto::LabelKind kind, const Mapping* mapping,
                                    const Progress& progress);

}  // namespace sluice::worker::data
