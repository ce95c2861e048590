#pragma once
// One line per record in and out (log.records), so that an order can be followed through the log.

#include <cstdint>
#include <memory>
#include <string_view>

#include "actors/codec.hpp"

namespace cartwright::node {

/// `inner`, with a line for every record that is read. Any thread.
[[nodiscard]] std::shared_ptr<const Codec> logging_codec(std::shared_ptr<const Codec> inner);

/// A line for a record that is in the log now. Any thread.
void log_record_out(std::string_view topic, std::int32_t partition, std::int64_t offset, std::string_view key);

}  // namespace cartwright::node
