# cashew_split_debug(DESTINATION COMPONENT TARGET...): in a release build the debug information of programs and plugins that are installed there goes into
# .debug/NAME.debug beside each, where addr2line, gdb and perf look by themselves.
function(cashew_split_debug destination component)
	if(NOT CMAKE_BUILD_TYPE STREQUAL "Release" OR NOT CMAKE_OBJCOPY)
		return()
	endif()
	foreach(target IN LISTS ARGN)
		set(folder $<TARGET_FILE_DIR:${target}>/.debug)
		set(file ${folder}/$<TARGET_FILE_NAME:${target}>.debug)
		add_custom_command(TARGET ${target} POST_BUILD VERBATIM
			COMMAND ${CMAKE_COMMAND} -E make_directory ${folder}
			COMMAND ${CMAKE_OBJCOPY} --only-keep-debug $<TARGET_FILE:${target}> ${file}
			COMMAND ${CMAKE_OBJCOPY} --strip-debug --add-gnu-debuglink=${file} $<TARGET_FILE:${target}>)
		install(FILES ${file} DESTINATION ${destination}/.debug COMPONENT ${component})
	endforeach()
endfunction()
