#pragma once
// An assertion that stays on in release: a broken invariant ends the actor that broke it (rule 11), never the data.

#include <stdexcept>
#include <string>

namespace cartwright {

/// A bug of ours, found at run time. Never used for bad input, a refusal or an outage.
class BrokenInvariant : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

/// Throws BrokenInvariant, saying `what` must hold, unless `holds`.
inline void check(bool holds, const char* what) {
  if (!holds) throw BrokenInvariant(std::string("invariant broken: ") + what);
}

}  // namespace cartwright
