#pragma once
/// The IDX format of MNIST and its kin: one file of images (unsigned bytes, two or more dimensions: the first counts images, the rest are flattened), one of
/// labels (unsigned bytes, one dimension). Plain or gzip. Labels are targets, or class numbers: classes = the largest training label + 1. A test label beyond
/// is a bad row: left out and counted.

#include <string>

#include "proto/job_spec.h"
#include "worker/data/rows.h"
#include "worker/data/source.h"

namespace sluice::worker::data {

/// mapping: of the training files when these are the test files, else null. Memory: the images. Errors: kBadData: wrong magic or element type, cut off or too
/// long, counts that differ, test images of another size.
[[nodiscard]] Result<Rows> read_idx(SourceFile& images, const std::string& images_path, SourceFile& labels, const std::string& labels_path,
                                    proto::LabelKind kind, const Mapping* mapping, const Progress& progress);

}  // namespace sluice::worker::data
