# What package-lock.json names, into TO/node_modules. Scripts of packages are not run: none of ours needs any.
file(MAKE_DIRECTORY ${TO})
file(COPY ${FROM}/package.json ${FROM}/package-lock.json ${FROM}/.npmrc DESTINATION ${TO})
execute_process(COMMAND ${NPM} ci --ignore-scripts --prefer-offline --no-audit --no-fund --loglevel=error
  WORKING_DIRECTORY ${TO} RESULT_VARIABLE failed TIMEOUT 300)
if(failed)
  message(FATAL_ERROR "The page at / needs three packages from the npm registry, and `npm ci` failed (see above). "
    "If the registry cannot be reached from here, point npm at one that can (`npm config set registry URL`, or a proxy: "
    "`npm config set proxy URL`), or build once where it can be reached and copy ~/.npm here; then run app/build again.")
endif()
file(TOUCH ${TO}/installed)
