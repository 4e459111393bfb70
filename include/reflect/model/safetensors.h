// The safetensors format: an 8-byte header length, a JSON header, raw little-endian tensors.
#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
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
  Entry read_entry(const std::string& name, const nlohmann::json& value) const;
  void check_overlap() const;

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
  void open_shards(const std::string& index_path);

  std::string folder_;
  std::vector<std::unique_ptr<SafetensorsFile>> files_;
  std::map<std::string, std::size_t> file_of_;
};

struct TensorShape {
  std::string name;
  std::vector<std::int64_t> shape;
  at::ScalarType dtype;
};

// Writes tensors one at a time in the order announced, so that only one needs to be in memory. The
// file appears, whole, at `commit`. Metadata: {"format": "pt"}.
class SafetensorsWriter {
 public:
  SafetensorsWriter(const std::string& path, const std::vector<TensorShape>& shapes);
  void write(const at::Tensor& tensor);
  void commit();

 private:
  std::string path_;
  std::vector<TensorShape> shapes_;
  AtomicWriter writer_;
  std::size_t written_ = 0;
};

struct NamedTensor {
  std::string name;
  at::Tensor tensor;
};

// The same for tensors that are all at hand.
void write_safetensors(const std::string& path, const std::vector<NamedTensor>& tensors);

}  // namespace reflect
