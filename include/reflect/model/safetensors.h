// The safetensors format: an 8-byte header length, a JSON header, raw little-endian tensors.
#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "reflect/base/file.h"

namespace reflect {

// One file, mapped. Every malformed header is an Error that names the file, the tensor and the
// byte.
class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::string& path);
  std::vector<std::string> names() const;
  bool contains(const std::string& name) const;
  // A view of the mapped bytes: valid while this object lives; must not be written to.
  at::Tensor view(const std::string& name) const;

 private:
  struct Entry {
    at::ScalarType dtype;
    std::vector<std::int64_t> shape;
    std::size_t begin, end;  // in the data section
  };
  MappedFile file_;
  std::size_t data_begin_ = 0;
  std::map<std::string, Entry> entries_;
};

// All tensors of a checkpoint folder: model.safetensors, or the shards that
// model.safetensors.index.json names.
class Checkpoint {
 public:
  explicit Checkpoint(const std::string& folder);
  bool contains(const std::string& name) const;
  at::Tensor view(const std::string& name) const;  // Error with the file when missing
  std::vector<std::string> names() const;

 private:
  std::string folder_;
  std::vector<std::unique_ptr<SafetensorsFile>> files_;
  std::map<std::string, std::size_t> file_of_;
};

struct NamedTensor {
  std::string name;
  at::Tensor tensor;
};

// Writes the tensors in the given order, one at a time, atomically; metadata {"format": "pt"}.
void write_safetensors(const std::string& path, const std::vector<NamedTensor>& tensors);

}  // namespace reflect
