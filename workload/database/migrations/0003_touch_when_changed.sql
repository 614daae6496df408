-- updated_at is what search asks for: what has changed since it last looked.
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END;
$$;

CREATE TRIGGER restaurants_touch BEFORE UPDATE ON restaurants
FOR EACH ROW EXECUTE FUNCTION touch();

CREATE TRIGGER dishes_touch BEFORE UPDATE ON dishes
FOR EACH ROW EXECUTE FUNCTION touch();

CREATE INDEX restaurants_by_change ON restaurants (updated_at);
CREATE INDEX dishes_by_change ON dishes (updated_at);
