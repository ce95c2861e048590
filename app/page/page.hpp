#pragma once
// The page at / and what it loads, built in by build.mjs.

#include <span>
#include <string_view>

namespace cartwright::page {

/// One file that is served to a browser.
struct Asset {
  std::string_view path;          ///< "/" or "/assets/NAME-HASH.ENDING"
  std::string_view content_type;
  std::string_view etag;          ///< with its quotes; of the content before compression
  bool forever;                   ///< the path names the content, so it may be kept without asking again
  std::string_view plain;
  std::string_view gzip;          ///< the same, compressed
};

/// All of them, for as long as the program runs. Any thread.
[[nodiscard]] std::span<const Asset> assets();

}  // namespace cartwright::page
