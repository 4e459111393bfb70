// The rows of a data file to examples, in pieces, so that memory never holds more text than one.
#pragma once

#include <string>

#include "reflect/data/tokenized_corpus.h"
#include "row_form.h"

namespace reflect {

struct RowTokenizer {
  const TrainingDataOptions& options;
  const RowForm& form;
  const ChatTemplate& chat;
  const Tokenizer& tokenizer;
};

// Adds the rows of `file` that can be trained on to the writer, on all cores, and tells what became
// of all. Throws Error for a row that check_example refuses, and for what cannot be read.
RowAccount tokenize_rows(const std::string& file, const RowTokenizer& rows,
                         TokenizedFileWriter& writer);

// All that the examples of a file depend on besides its contents: tokenizer, template, form of
// rows, settings, and the examples of a made-up row, which change when the code that makes examples
// does.
Json settings_of(const RowTokenizer& rows);

// The records that the examples `rows` of a corpus were made from, by number of the example.
std::map<std::size_t, Record> records_at(const std::vector<std::size_t>& rows,
                                         const TokenizedCorpus& corpus,
                                         const TrainingDataOptions& options);

}  // namespace reflect
