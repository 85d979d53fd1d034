/* events.aq.granted */
-- Does nothing, and is compiled only for who may use the package.
DECLARE
  v_props DBMS_AQ.MESSAGE_PROPERTIES_T;
BEGIN
  v_props.priority := 1;
END;
