#pragma once
// Dead letters as people decide about them. The records of `<topic>.dlq` are the truth: they outlive a role's store,
// they are what contract.md promises to the outside, and they can be read when no node runs. What was decided is a
// record, too, in a topic of its own, so it is known as long and to as many as the letters are.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "actors/event.hpp"
#include "app/cli/context.hpp"

namespace cartwright::cli {

/// What a person made of a dead letter.
struct Decision {
  std::string action;  // replayed, discarded
  std::string by;      // user@host
  Millis at = 0;
  std::string reason;
  std::string to;      // replayed: TOPIC/PARTITION/OFFSET of the record that was written
};

/// A record of a dead-letter topic.
struct Letter {
  std::string topic;  // of dead letters, the name in force
  int partition = 0;
  std::int64_t offset = 0;
  Millis at = 0;      // when it was buried
  std::optional<std::string> key, value;
  std::vector<Header> headers;
  std::string cause, group;
  std::string source;  // dlq_topic; "" when the record has no such header
  int source_partition = -1;
  std::int64_t source_offset = -1;
  bool truncated = false;
  std::optional<Decision> decision;

  /// TOPIC/PARTITION/OFFSET, as the commands take it.
  [[nodiscard]] std::string id() const;
};

/// Which letters are meant. What is empty says nothing; all of the rest has to hold.
struct LetterFilter {
  std::vector<std::string> ids;
  std::string cause;  // the beginning of dlq_cause
  std::string topic;  // the topic the record lay in, or its topic of dead letters
  std::string order;  // the record's key, or an order_id in its value
  bool decided = false;  // also those about which somebody has decided
};

/// The topic that remembers the decisions: 1 partition, compacted.
[[nodiscard]] std::string decisions_topic(const std::string& group_prefix);

/// All letters that `filter` lets through, oldest first, each with what was decided about it. Throws CommandError,
/// also when an id names no letter.
[[nodiscard]] std::vector<Letter> read_letters(const Context& context, const LetterFilter& filter);

/// The record a letter was made of, where it still lies in its topic with the same bytes: its headers and its time, and
/// its value where the letter's was cut.
struct Original {
  std::optional<std::string> value;
  std::vector<Header> headers;
  Millis at = 0;
};
/// By the letter's id; letters whose record is gone are left out.
[[nodiscard]] std::map<std::string, Original> read_originals(const Context& context,
                                                             const std::vector<const Letter*>& letters);

/// Writes decisions down, durably. Throws CommandError.
void remember(const Context& context, const std::vector<std::pair<const Letter*, Decision>>& decisions);

}  // namespace cartwright::cli
