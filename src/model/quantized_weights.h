// A base in few bits: projections as NF4 or FP8 codes, dequantised block by block.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "code_source.h"
#include "reflect/model/weights.h"
#include "weight_codec.h"

namespace reflect {

class QuantizedWeights : public WeightSource {
 public:
  // Quantises the checkpoint in `folder` from the values as they are stored there, tensor by
  // tensor, or takes the codes from `cache` (BaseConfig::cache). On a CPU those stay in the mapped
  // files: processes of one machine share their memory. Where ranks compute together, keeps a copy
  // of this one's slice of each projection's codes.
  QuantizedWeights(const std::string& folder, const LlamaConfig& config, const Runtime& runtime,
                   WeightCodec codec, const std::string& cache = "",
                   ProcessGroup tensor_group = {});

  // Dequantises into one of two buffers, unless the block is in one of them already.
  BlockWeights block(std::int64_t layer) override;
  at::Tensor embedding() override { return embedding_; }
  at::Tensor final_norm() override { return final_norm_; }
  at::Tensor lm_head() override { return lm_head_; }
  bool lasting() const override { return false; }
  ProcessGroup tensor_group() const override { return tensor_group_; }

  std::int64_t bytes() const;  // of everything that is kept, the two buffers included

 private:
  struct StoredBlock {
    at::Tensor input_norm, post_attention_norm;
    std::array<QuantizedMatrix, 7> projections;  // indexed by Projection
  };

  ProcessGroup tensor_group_;
  StreamedWeights files_;
  CodeSource codes_;
  std::vector<StoredBlock> blocks_;
  at::Tensor embedding_, final_norm_, lm_head_;
  std::array<BlockBuffer, 2> buffers_;
  std::size_t last_ = 0;  // the buffer that was given out last
};

}  // namespace reflect
