-- migrate:up
-- step: backfill
UPDATE skus SET level = skus.level
FROM (SELECT sku FROM skus WHERE level < 0 ORDER BY sku FOR NO KEY UPDATE) AS old
WHERE skus.sku = old.sku;

-- migrate:down
SELECT 1;
