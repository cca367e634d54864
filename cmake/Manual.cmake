# The manual pages and the completion for bash, which cmake/manual makes of what the programs say of themselves. Those of cashewd and cashew-token are
# installed with the component `program`, those of the tool cashew with `development`.
set(manual ${PROJECT_BINARY_DIR}/manual)
add_custom_command(OUTPUT ${manual}/made VERBATIM COMMENT "Manual pages"
	COMMAND ${PROJECT_SOURCE_DIR}/cmake/manual ${PROJECT_VERSION} $<TARGET_FILE:cashewd> $<TARGET_FILE:cashew-token> ${PROJECT_SOURCE_DIR}/cashew ${manual}
	DEPENDS cashewd cashew-token ${PROJECT_SOURCE_DIR}/cmake/manual ${PROJECT_SOURCE_DIR}/cashew)
add_custom_target(cashew-manual ALL DEPENDS ${manual}/made)
foreach(component program development)
	install(DIRECTORY ${manual}/${component}/man/ DESTINATION ${CMAKE_INSTALL_MANDIR} COMPONENT ${component})
	install(DIRECTORY ${manual}/${component}/completions/ DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions COMPONENT ${component})
endforeach()
